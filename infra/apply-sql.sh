#!/bin/sh
# Migrates the database and grants the app's identity access to it. azd runs it after provisioning; to run it again:
#     azd hooks run postprovision
# It can be repeated at any time. It needs az and azd, both logged in as the SQL server's administrator, and Microsoft's
# ODBC Driver 18. DEPLOYER_ADDRESS is the IPv4 address to allow, if it differs from this machine's public address.
set -eu
cd "$(dirname "$0")/.."

stop() {
  echo "Stopped: $1" >&2
  exit 1
}

for name in AZURE_SUBSCRIPTION_ID AZURE_RESOURCE_GROUP AZURE_SQL_SERVER AZURE_SQL_HOST AZURE_SQL_DATABASE \
  APP_IDENTITY_NAME APP_IDENTITY_CLIENT_ID SERVICES; do
  eval "value=\${$name:-}"
  [ -n "$value" ] || stop "$name is not set. Run this through azd: azd hooks run postprovision"
done
command -v az >/dev/null || stop "az is missing: https://learn.microsoft.com/cli/azure/install-azure-cli"
az account show --subscription "$AZURE_SUBSCRIPTION_ID" --output none ||
  stop "az cannot access the subscription $AZURE_SUBSCRIPTION_ID: az login"
[ -e .venv/installed ] || make .venv/installed
python=.venv/bin/python

address=$("$python" - "${DEPLOYER_ADDRESS:-}" <<'PYTHON'
import ipaddress
import sys
import urllib.request

given = sys.argv[1]
if not given:
    with urllib.request.urlopen("https://api.ipify.org", timeout=30) as response:
        given = response.read(100).decode()
address = ipaddress.IPv4Address(given.strip())
# In particular not 0.0.0.0, which means all of Azure.
if not address.is_global:
    sys.exit(f"{address} is not a public address")
print(address)
PYTHON
) || stop "this machine's public address is unknown. Give it: DEPLOYER_ADDRESS=… azd hooks run postprovision"

# Named by address: the next run from here removes the rule that a killed run left behind.
rule="deployer-$(echo "$address" | tr . -)"
log=$(mktemp)

firewall_rule() {
  az sql server firewall-rule "$@" --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$AZURE_RESOURCE_GROUP" \
    --server "$AZURE_SQL_SERVER" --name "$rule" --output none </dev/null
}

finish() {
  status=$?
  trap - EXIT HUP INT TERM
  rm -f "$log"
  if firewall_rule delete; then
    echo "Removed the firewall rule $rule."
  else
    echo "The firewall rule $rule of $AZURE_SQL_SERVER could not be removed. Remove it manually." >&2
    [ "$status" -ne 0 ] || status=1
  fi
  exit "$status"
}
# A shell that is ended by a signal runs the EXIT trap only if its own signal trap exits.
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

echo "Allowing $address while this script runs (firewall rule $rule)."
firewall_rule create --start-ip-address "$address" --end-ip-address "$address"

# A firewall rule takes effect within some minutes; until then the server returns error 40615. Every other error is
# final: `admin migrate` itself waits for a database that is resuming.
export DATABASE_URL="Driver={ODBC Driver 18 for SQL Server};Server=tcp:$AZURE_SQL_HOST,1433;Database=$AZURE_SQL_DATABASE;Encrypt=yes;Authentication=ActiveDirectoryDefault"
export SERVICES
attempts=0
until "$python" -m admin migrate --wait 300 2>"$log"; do
  attempts=$((attempts + 1))
  if [ "$attempts" -ge 30 ] || ! grep -q 40615 "$log"; then
    cat "$log" >&2
    ! grep -q 40615 "$log" || echo "If the server names another address than $address, set DEPLOYER_ADDRESS to it." >&2
    stop "the database is not migrated. The failed migration was rolled back; those before it remain."
  fi
  echo "The firewall rule is not in effect yet; retrying in 10 seconds."
  sleep 10
done
cat "$log" >&2
"$python" -m admin grant-access "$APP_IDENTITY_NAME" "$APP_IDENTITY_CLIENT_ID" ||
  stop "the database is migrated, but $APP_IDENTITY_NAME has no access to it."
echo "$AZURE_SQL_DATABASE is migrated; $APP_IDENTITY_NAME has access to it."
