#!/bin/sh
# Applies sql/ to the new database and lets the app's identity in. azd runs it after provisioning; again by hand:
#     azd hooks run postprovision
# Everything in it may be repeated. It needs az and azd, both logged in as the SQL server's administrator, and Microsoft's
# ODBC driver 18. DEPLOYER_ADDRESS is the IPv4 address to let in, where it is not the one that the Internet sees.
set -eu
cd "$(dirname "$0")/.."

stop() {
  echo "Stopped: $1" >&2
  exit 1
}

for name in AZURE_SUBSCRIPTION_ID AZURE_RESOURCE_GROUP AZURE_SQL_SERVER AZURE_SQL_HOST AZURE_SQL_DATABASE \
  APP_IDENTITY_NAME APP_IDENTITY_CLIENT_ID SERVICES; do
  eval "value=\${$name:-}"
  [ -n "$value" ] || stop "$name is not set. Run me through azd: azd hooks run postprovision"
done
command -v az >/dev/null || stop "az is missing: https://learn.microsoft.com/cli/azure/install-azure-cli"
az account show --subscription "$AZURE_SUBSCRIPTION_ID" --output none || stop "az cannot use this subscription: az login"
[ -e .venv/installed ] || make .venv/installed
python=.venv/bin/python

address=$("$python" - "${DEPLOYER_ADDRESS:-}" <<'PYTHON'
import ipaddress
import sys
import urllib.request

given = sys.argv[1]
if not given:
    with urllib.request.urlopen("https://api.ipify.org", timeout=30) as answer:
        given = answer.read(100).decode()
address = ipaddress.IPv4Address(given.strip())
# Above all not 0.0.0.0, which stands for all of Azure.
if not address.is_global:
    sys.exit(f"{address} is not an address of the Internet")
print(address)
PYTHON
) || stop "this machine's address is not known. Say which to let in: DEPLOYER_ADDRESS=… azd hooks run postprovision"

# By address: the next run from here removes what a run that was killed has left.
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
    echo "The firewall rule $rule is removed."
  else
    echo "The firewall rule $rule of $AZURE_SQL_SERVER could not be removed. Remove it yourself." >&2
    [ "$status" -ne 0 ] || status=1
  fi
  exit "$status"
}
# A shell that a signal ends does not run the trap for EXIT, unless it exits by itself.
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

echo "Letting $address in for the time of this script (firewall rule $rule)."
firewall_rule create --start-ip-address "$address" --end-ip-address "$address"

# It may take some minutes until the rule holds; until then the server answers 40615. Everything else is final:
# `python -m persistence` itself waits for a database that wakes up.
export DATABASE_URL="Driver={ODBC Driver 18 for SQL Server};Server=tcp:$AZURE_SQL_HOST,1433;Database=$AZURE_SQL_DATABASE;Encrypt=yes;Authentication=ActiveDirectoryDefault"
export SERVICES
tries=0
until "$python" -m persistence --wait 300 --member "$APP_IDENTITY_NAME=$APP_IDENTITY_CLIENT_ID" 2>"$log"; do
  tries=$((tries + 1))
  if [ "$tries" -ge 30 ] || ! grep -q 40615 "$log"; then
    cat "$log" >&2
    ! grep -q 40615 "$log" || echo "If the server names another address than $address, set DEPLOYER_ADDRESS to it." >&2
    stop "sql/ is not applied. Nothing of the script that failed was kept."
  fi
  echo "The firewall rule does not hold yet; trying again in 10 seconds."
  sleep 10
done
cat "$log" >&2
echo "sql/ is applied; $APP_IDENTITY_NAME may use $AZURE_SQL_DATABASE."
