// The app and all that it needs, in one resource group. Nothing here has a password or a key: the app reaches storage,
// database and telemetry as its user-assigned identity. Checkov reads this file with a parser of its own, which does
// not know all of Bicep: no typed arrays, no loops over several lines.

@description('Region of every resource.')
param location string

@description('Tags of every resource.')
param tags object

@description('Makes names unique in the world: 13 lower-case letters and digits.')
param token string

@description('Id of the server\'s Entra administrator.')
param sqlAdministratorId string

@description('Name of the server\'s Entra administrator.')
param sqlAdministratorName string

@description('User, Group or Application.')
@allowed(['User', 'Group', 'Application'])
param sqlAdministratorType string

@description('The enabled services, separated by commas.')
param services string

@description('Threads of an instance that run functions, and the requests that it is given at a time.')
param threads int

@description('Memory of an instance.')
param instanceMemoryMB int

@description('The most instances.')
param maximumInstanceCount int

@description('The most vCores of the database.')
param sqlMaxVCores int

@description('Minutes without a connection after which the database is paused; -1 is never.')
param sqlAutoPauseDelay int

var databaseName = 'rollbook'
var packageContainerName = 'packages'
var subnetName = 'functions'

// Built-in roles: their ids are the same in every subscription.
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

// ---- who the app is

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-rollbook-${token}'
  location: location
  tags: tags
}

// ---- the network: what the app calls sees this subnet, and lets in nothing else

// The subnet is written inside the network: as a resource of its own, the next deployment of the network could remove it.
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
          // Flex Consumption wants /27 or more, for the app alone, and a name without underscores.
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

// ---- storage: the host's own (function keys among it), and the deployed package

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
    // Deployments should be taken in by the app itself, inside the subnet. Reports differ; README says what to do where
    // one is refused.
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
    // A flood of errors must not become a flood of cost: beyond it, the day's telemetry is dropped.
    workspaceCapping: {
      dailyQuotaGb: 1
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
    // The instrumentation key is public by its nature; without this, whoever knows it may write telemetry.
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

// ---- the database

resource sqlServer 'Microsoft.Sql/servers@2023-08-01' = {
  name: 'sql-rollbook-${token}'
  location: location
  tags: tags
  properties: {
    version: '12.0'
    minimalTlsVersion: '1.2'
    // Rules for subnets are rules of the public endpoint. It lets in nobody else: there is no firewall rule, least of
    // all the one that stands for all of Azure; apply-sql.sh makes one for one address, and removes it.
    publicNetworkAccess: 'Enabled'
    // Taken at the server's creation; later a change is made with: az sql server ad-admin create
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

// READ_COMMITTED_SNAPSHOT, without which readers would wait for writers, is on in every database of Azure SQL.
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
    // Bicep has no fractions: json() makes the number.
    minCapacity: json('0.5')
    // The first call after a pause waits for the database, a minute or so: the app tries for DB_RETRY_SECONDS, and
    // then answers 503 with Retry-After.
    autoPauseDelay: sqlAutoPauseDelay
    maxSizeBytes: 34359738368
    // Backups stay in the region: not every region has a pair, and personal data may be bound to its own.
    requestedBackupStorageRedundancy: 'Local'
    zoneRedundant: false
  }
}

// ---- the app

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
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

resource site 'Microsoft.Web/sites@2024-04-01' = {
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
        maximumInstanceCount: maximumInstanceCount
        triggers: {
          http: {
            // As many as there are threads: one more would wait inside an instance while others could be started.
            perInstanceConcurrency: threads
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.12'
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      // What Flex Consumption has elsewhere or not at all, it refuses to be told here: FUNCTIONS_WORKER_RUNTIME,
      // WEBSITE_RUN_FROM_PACKAGE and their like among the settings, linuxFxVersion, alwaysOn or ftpsState beside them.
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
          // glibc would keep the size of the largest answer for every thread (Makefile says how much).
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
          // By it Application Insights knows spans and counters as those of this app.
          name: 'OTEL_SERVICE_NAME'
          value: 'rollbook-${token}'
        }
        {
          // The host sends the log lines.
          name: 'OTEL_LOGS_EXPORTER'
          value: 'none'
        }
        {
          // The exporter's telemetry about itself, which goes to Microsoft.
          name: 'APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL'
          value: 'true'
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
  // Names do not tell that the app can only start when its identity may read, and its database be reached.
  dependsOn: [
    packageContainer
    storageRole
    insightsRole
    database
    subnetOnly
  ]
}

// Deployments are authorised by Entra: without these two, a user name and a password would do as well. There is no FTP
// on Flex Consumption; the second says so to those who look for it.
resource scmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: site
  name: 'scm'
  properties: {
    allow: false
  }
}

resource ftpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
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
