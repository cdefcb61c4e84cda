// What `azd up` creates: one resource group with everything of app.bicep in it. Its parameters are set with
// `azd env set NAME VALUE`, by the names in main.parameters.json.
targetScope = 'subscription'

@description('Name of the azd environment: it names the resource group, and makes the other names unique.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of every resource. Flex Consumption must be there: az functionapp list-flexconsumption-locations')
param location string

@description('Object id of whoever deploys. Who is a user becomes the administrator of the SQL server, and applies sql/.')
param principalId string

@description('Another administrator: the object id of a group, or the client id of a service principal. Azure SQL knows no other id of that, so that a service principal who deploys has to be named here.')
param sqlAdministratorId string = ''

@description('The administrator\'s name in the server\'s properties. It is a label: Azure SQL compares ids.')
param sqlAdministratorName string = 'rollbook-administrator'

@description('What the administrator is; Application is a service principal.')
@allowed(['User', 'Group', 'Application'])
param sqlAdministratorType string = 'User'

@description('The enabled services, separated by commas.')
param services string = 'users'

@description('Threads of an instance that run functions, and the requests that it is given at a time.')
@minValue(1)
@maxValue(1000)
param threads int = 8

@description('Memory of an instance.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('The most instances. Times threads, this is what the database may be asked at once.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 10

@description('The most vCores of the database: 75 requests at work each.')
@allowed([1, 2, 4])
param sqlMaxVCores int = 2

@description('Minutes without a connection after which the database is paused: 15 or more; -1 is never.')
@minValue(-1)
@maxValue(10080)
param sqlAutoPauseDelay int = 60

var tags = {
  'azd-env-name': environmentName
}

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module app 'app.bicep' = {
  name: 'app'
  scope: group
  params: {
    location: location
    tags: tags
    token: uniqueString(subscription().id, environmentName, location)
    sqlAdministratorId: empty(sqlAdministratorId) ? principalId : sqlAdministratorId
    sqlAdministratorName: sqlAdministratorName
    sqlAdministratorType: sqlAdministratorType
    services: services
    threads: threads
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    sqlMaxVCores: sqlMaxVCores
    sqlAutoPauseDelay: sqlAutoPauseDelay
  }
}

// azd keeps them in its environment, and hands them to apply-sql.sh. None may be called AZURE_CLIENT_ID: azure-identity
// would take it for the identity that the deployer wants to log in with.
output AZURE_LOCATION string = location
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_SQL_SERVER string = app.outputs.sqlServer
output AZURE_SQL_HOST string = app.outputs.sqlHost
output AZURE_SQL_DATABASE string = app.outputs.sqlDatabase
output APP_IDENTITY_NAME string = app.outputs.identityName
output APP_IDENTITY_CLIENT_ID string = app.outputs.identityClientId
output SERVICES string = services
output SERVICE_API_NAME string = app.outputs.siteName
output SERVICE_API_URI string = app.outputs.siteUri
