// The app and its resources, in one resource group. There are no passwords and no keys, only the secret of two sites: the
// app authenticates to storage, database and telemetry with its user-assigned identity. Checkov parses this file too, and
// its parser does not support all of Bicep: no typed arrays, no multi-line loops.

@description('Region of every resource.')
param location string

@description('Tags of every resource.')
param tags object

@description('Makes names globally unique: 13 lower-case letters and digits.')
param token string

@description('Object id of the SQL server\'s Entra administrator.')
param sqlAdministratorId string

@description('Name of the SQL server\'s Entra administrator.')
param sqlAdministratorName string

@description('User, Group or Application.')
@allowed(['User', 'Group', 'Application'])
param sqlAdministratorType string

@description('The enabled services, separated by commas.')
param services string

@description('Threads per instance, and concurrent requests per instance.')
param threads int

@description('Memory of an instance in MB.')
param instanceMemoryMB int

@description('Maximum number of instances of a function group.')
param maximumInstanceCount int

@description('Maximum vCores of the database.')
param sqlMaxVCores int

@description('Minutes without a connection after which the database pauses; -1 means never.')
param sqlAutoPauseDelay int

@description('The web origins whose pages may call the app, separated by commas.')
param corsOrigins string

@description('Share of the requests whose traces are stored, from 0 to 1; errors and slow requests always are.')
param telemetrySampling string

@description('Time zone of the days of the invoices service, in the IANA database.')
param timeZone string

@description('When the timer of low stock runs, as NCRONTAB in UTC.')
param lowStockSchedule string

@description('E-mail address that gets alerts; empty for none.')
param alertEmail string

@description('The other site of the invoices service; empty for none.')
param peerSiteUrl string

@description('The secret of both sites; empty for none.')
@secure()
param peerSiteSecret string

var databaseName = 'rollbook'
var packageContainerName = 'packages'
var subnetName = 'functions'
var dailyQuotaGb = 5

// Built-in roles: their ids are the same in every subscription.
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

// ---- identity

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-rollbook-${token}'
  location: location
  tags: tags
}

// ---- network: storage and database accept connections from this subnet only

// The subnet is declared inside the network: as a separate resource it could be removed by the next deployment of the
// network.
resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: 'vnet-rollbook-${token}'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: ['10.0.0.0/24']
    }
    subnets: [
      {
        name: subnetName
        properties: {
          // Flex Consumption requires a dedicated subnet of /27 or larger, whose name has no underscore.
          addressPrefix: '10.0.0.0/26'
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
          serviceEndpoints: [
            {
              service: 'Microsoft.Sql'
            }
            {
              service: 'Microsoft.Storage'
            }
          ]
        }
      }
    ]
  }
}

var subnetId = '${network.id}/subnets/${subnetName}'

// ---- storage: the Functions host's own data (function keys among it), and the deployed package

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: 'rollbook${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    // The app itself, inside the subnet, should fetch the deployed package. Reports differ; see docs/deploy.md for a
    // rejected deployment.
    networkAcls: {
      defaultAction: 'Deny'
      bypass: 'AzureServices'
      virtualNetworkRules: [
        {
          id: subnetId
          action: 'Allow'
        }
      ]
    }
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
}

resource packageContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobService
  name: packageContainerName
  properties: {
    publicAccess: 'None'
  }
}

resource storageRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, identity.id, storageBlobDataOwner)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
  }
}

// ---- telemetry

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-rollbook-${token}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 30
    features: {
      disableLocalAuth: true
    }
    // Limits the cost of an error storm: above the quota, the rest of the day's telemetry is dropped.
    workspaceCapping: {
      dailyQuotaGb: dailyQuotaGb
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-rollbook-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    // Instrumentation keys are not secret; without this, anyone who has one could write telemetry.
    DisableLocalAuth: true
  }
}

resource insightsRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, identity.id, monitoringMetricsPublisher)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
  }
}

// ---- alerts: visible in the portal, and sent to the e-mail address if there is one

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: 'ag-rollbook-${token}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'rollbook'
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

module serverErrors 'alert.bicep' = {
  name: 'alert-server-errors'
  params: {
    name: 'alert-rollbook-server-errors-${token}'
    location: location
    tags: tags
    workspaceId: workspace.id
    actionGroups: empty(alertEmail) ? [] : [actionGroup.id]
    description: 'More than 5 responses from 500 within 15 minutes. A resuming database causes a few.'
    severity: 1
    // Log lines are not sampled.
    query: 'AppTraces | where Message matches regex "^[A-Za-z0-9_]+ failed 5[0-9][0-9] " | project TimeGenerated, Value = 1'
    threshold: 5
    window: 'PT15M'
    frequency: 'PT15M'
  }
}

module failedLogins 'alert.bicep' = {
  name: 'alert-failed-logins'
  params: {
    name: 'alert-rollbook-failed-logins-${token}'
    location: location
    tags: tags
    workspaceId: workspace.id
    actionGroups: empty(alertEmail) ? [] : [actionGroup.id]
    description: 'The database rejects the login of the app: retries do not help.'
    severity: 1
    query: 'AppTraces | where Message contains " database-login" | project TimeGenerated, Value = 1'
    threshold: 0
    window: 'PT30M'  // overlaps, because lines may arrive late
    frequency: 'PT15M'
  }
}

module telemetryVolume 'alert.bicep' = {
  name: 'alert-telemetry-volume'
  params: {
    name: 'alert-rollbook-telemetry-volume-${token}'
    location: location
    tags: tags
    workspaceId: workspace.id
    actionGroups: empty(alertEmail) ? [] : [actionGroup.id]
    description: 'The telemetry of 24 hours exceeds 80 % of the daily cap, above which nothing is stored.'
    severity: 2
    // Usage has one record per table and hour, in MB.
    query: 'Usage | where IsBillable | project TimeGenerated, Value = Quantity'
    threshold: dailyQuotaGb * 800
    window: 'P1D'
    frequency: 'PT1H'
  }
}

// ---- the database

resource sqlServer 'Microsoft.Sql/servers@2023-08-01' = {
  name: 'sql-rollbook-${token}'
  location: location
  tags: tags
  properties: {
    version: '12.0'
    minimalTlsVersion: '1.2'
    // Subnet rules belong to the public endpoint. It accepts nothing else: there are no firewall rules, in particular
    // none that allows all of Azure. apply-sql.sh creates a temporary rule for one address.
    publicNetworkAccess: 'Enabled'
    // Applies when the server is created; change it later with: az sql server ad-admin create
    administrators: {
      administratorType: 'ActiveDirectory'
      azureADOnlyAuthentication: true
      login: sqlAdministratorName
      principalType: sqlAdministratorType
      sid: sqlAdministratorId
      tenantId: tenant().tenantId
    }
  }
}

resource subnetOnly 'Microsoft.Sql/servers/virtualNetworkRules@2023-08-01' = {
  parent: sqlServer
  name: 'functions'
  properties: {
    virtualNetworkSubnetId: subnetId
    ignoreMissingVnetServiceEndpoint: false
  }
}

// READ_COMMITTED_SNAPSHOT, without which readers would wait for writers, is on by default in Azure SQL.
resource database 'Microsoft.Sql/servers/databases@2023-08-01' = {
  parent: sqlServer
  name: databaseName
  location: location
  tags: tags
  sku: {
    name: 'GP_S_Gen5'
    tier: 'GeneralPurpose'
    family: 'Gen5'
    capacity: sqlMaxVCores
  }
  properties: {
    // Bicep has no decimal literals.
    minCapacity: json('0.5')
    // The first call after a pause waits about a minute for the database: the app retries for DB_RETRY_SECONDS, and
    // then returns 503 with Retry-After.
    autoPauseDelay: sqlAutoPauseDelay
    maxSizeBytes: 34359738368
    // Backups stay in the region: not every region has a pair, and personal data may have to stay in its own.
    requestedBackupStorageRedundancy: 'Local'
    zoneRedundant: false
  }
}

// ---- the app

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-rollbook-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: 'rollbook-${token}'
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainerName}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        // Per function group: all HTTP functions are one, each timer is another.
        maximumInstanceCount: maximumInstanceCount
        triggers: {
          http: {
            // One request per thread: further requests would wait inside the instance instead of starting another.
            perInstanceConcurrency: threads
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'  // the version that tests/runtime runs
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      cors: {
        allowedOrigins: empty(corsOrigins) ? [] : split(replace(corsOrigins, ' ', ''), ',')
      }
      // Flex Consumption rejects what it configures elsewhere or does not support: settings such as
      // FUNCTIONS_WORKER_RUNTIME and WEBSITE_RUN_FROM_PACKAGE, the properties linuxFxVersion, alwaysOn and ftpsState.
      appSettings: [
        {
          name: 'AzureWebJobsStorage__accountName'
          value: storage.name
        }
        {
          name: 'AzureWebJobsStorage__credential'
          value: 'managedidentity'
        }
        {
          name: 'AzureWebJobsStorage__clientId'
          value: identity.properties.clientId
        }
        {
          name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
          value: insights.properties.ConnectionString
        }
        {
          name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
          value: 'ClientId=${identity.properties.clientId};Authorization=AAD'
        }
        {
          name: 'DATABASE_URL'
          value: 'Driver={ODBC Driver 18 for SQL Server};Server=tcp:${sqlServer.name}${environment().suffixes.sqlServerHostname},1433;Database=${databaseName};Encrypt=yes;Authentication=ActiveDirectoryMsi;UID=${identity.properties.clientId}'
        }
        {
          name: 'SERVICES'
          value: services
        }
        {
          name: 'PYTHON_THREADPOOL_THREAD_COUNT'
          value: string(threads)
        }
        {
          // In bytes, for the host: the largest body_limit of the declared endpoints, and 1 MiB more, so that the app
          // itself rejects what is only slightly too large. The host's default is 100 MB.
          name: 'FUNCTIONS_REQUEST_BODY_SIZE_LIMIT'
          value: contains(services, 'ecgs') ? '34603008' : '3145728'
        }
        {
          // An upload of 32 MiB takes 200 to 650 MB while it is parsed: see docs/ecgs.md.
          name: 'LARGE_BODIES_AT_ONCE'
          value: instanceMemoryMB < 2048 ? '1' : '2'
        }
        {
          // More records without limit would exceed what a response should be: see docs/users.md.
          name: 'LIST_ROWS_MAX'
          value: '200000'
        }
        {
          // Otherwise glibc keeps memory of the size of the largest response per thread (see Makefile).
          name: 'MALLOC_MMAP_THRESHOLD_'
          value: '1048576'
        }
        {
          name: 'HEALTH_CHECK'
          value: 'on'
        }
        {
          name: 'TELEMETRY'
          value: 'on'
        }
        {
          name: 'TELEMETRY_SAMPLING'
          value: telemetrySampling
        }
        {
          // The exporter would send the app's attributes again with every batch of spans.
          name: 'APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED'
          value: 'true'
        }
        {
          // Names the app in Application Insights.
          name: 'OTEL_SERVICE_NAME'
          value: 'rollbook-${token}'
        }
        {
          // The Functions host exports the log lines.
          name: 'OTEL_LOGS_EXPORTER'
          value: 'none'
        }
        {
          // The exporter's own usage data, which it sends to Microsoft.
          name: 'APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL'
          value: 'true'
        }
        {
          name: 'TIME_ZONE'
          value: timeZone
        }
        {
          // Each tick may start an instance, which reads the database: see docs/invoices.md.
          name: 'LOW_STOCK_SCHEDULE'
          value: lowStockSchedule
        }
        {
          name: 'PEER_SITE_URL'
          value: peerSiteUrl
        }
        {
          name: 'PEER_SITE_SECRET'
          value: peerSiteSecret
        }
        {
          // Each tick starts an instance and reads the database: see docs/invoices.md.
          name: 'OUTBOX_SCHEDULE'
          value: '0 */5 * * * *'
        }
        {
          name: 'POINTS_ALLOW_FLUSH'
          value: 'off'
        }
        {
          name: 'API_DOCS'
          value: 'off'
        }
      ]
    }
  }
  // No reference implies these: the app starts only with its permissions, and with its database reachable.
  dependsOn: [
    packageContainer
    storageRole
    insightsRole
    database
    subnetOnly
  ]
}

// Deployments are authorised by Entra: without these two, a user name and password would work too. Flex Consumption has
// no FTP; the second one states it for scanners.
resource scmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'scm'
  properties: {
    allow: false
  }
}

resource ftpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'ftp'
  properties: {
    allow: false
  }
}

output identityName string = identity.name
output identityClientId string = identity.properties.clientId
output sqlServer string = sqlServer.name
output sqlHost string = sqlServer.properties.fullyQualifiedDomainName
output sqlDatabase string = databaseName
output siteName string = site.name
output siteUri string = 'https://${site.properties.defaultHostName}'
