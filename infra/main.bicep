// What `azd up` creates: one resource group with the resources of app.bicep. Set parameters with
// `azd env set NAME VALUE`, using the names in main.parameters.json.
targetScope = 'subscription'

@description('Name of the azd environment: part of the resource group\'s name; makes the other names unique.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of every resource. It must offer Flex Consumption: az functionapp list-flexconsumption-locations')
param location string

@description('Object id of the deployer. A user becomes the administrator of the SQL server, and runs the migrations.')
param principalId string

@description('Another administrator: the object id of a group, or the client id of a service principal (Azure SQL accepts no other id of one, so a deploying service principal must be given here).')
param sqlAdministratorId string = ''

@description('The administrator\'s name in the server\'s properties: a label only, Azure SQL compares ids.')
param sqlAdministratorName string = 'rollbook-administrator'

@description('Type of the administrator; Application means a service principal.')
@allowed(['User', 'Group', 'Application'])
param sqlAdministratorType string = 'User'

@description('The enabled services, separated by commas.')
param services string = 'users'

@description('Threads per instance, and concurrent requests per instance.')
@minValue(1)
@maxValue(1000)
param threads int = 8

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Maximum number of instances of a function group (all HTTP functions are one, each timer is another). Multiplied by threads: the maximum of concurrent requests to the database. Some regions accept no less than 40.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 10

@description('Maximum vCores of the database: 75 concurrent requests each.')
@allowed([1, 2, 4])
param sqlMaxVCores int = 2

@description('Minutes without a connection after which the database pauses: 15 or more; -1 means never.')
@minValue(-1)
@maxValue(10080)
param sqlAutoPauseDelay int = 60

@description('The web origins whose pages may call the app, separated by commas; none by default.')
param corsOrigins string = ''

@description('Share of the requests whose traces are stored, from 0 to 1; errors and slow requests always are.')
param telemetrySampling string = '0.1'

@description('Time zone of the days of the invoices service, in the IANA database.')
param timeZone string = 'Asia/Kolkata'

@description('When the timer of low stock runs, as NCRONTAB in UTC. Empty: at midnight of Asia/Kolkata and a quarter of an hour later; in any other time zone every quarter of an hour, which is correct but costs more: python -m admin low-stock --schedule prints the right one.')
param lowStockSchedule string = ''

@description('E-mail address that gets alerts. Empty: alerts are visible in the portal only.')
param alertEmail string = ''

@description('The other site of the invoices service: https://host. Then the database never pauses.')
param peerSiteUrl string = ''

@description('The secret of both sites, for signatures: 32 random bytes or more. Empty: no customer of another site is accepted.')
@secure()
param peerSiteSecret string = ''

// A day of Asia/Kolkata begins at 18:30 UTC, all year.
var lowStockTicks = timeZone == 'Asia/Kolkata' ? '0 30,45 18 * * *' : '0 */15 * * * *'

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
    // The timer of the outbox reads the database more often than the delay.
    sqlAutoPauseDelay: empty(peerSiteUrl) ? sqlAutoPauseDelay : -1
    corsOrigins: corsOrigins
    telemetrySampling: telemetrySampling
    timeZone: timeZone
    lowStockSchedule: empty(lowStockSchedule) ? lowStockTicks : lowStockSchedule
    alertEmail: alertEmail
    peerSiteUrl: peerSiteUrl
    peerSiteSecret: peerSiteSecret
  }
}

// azd stores them in its environment and passes them to apply-sql.sh. None may be named AZURE_CLIENT_ID: azure-identity
// would use it as the identity to log in with.
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
