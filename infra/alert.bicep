// One alert on the logs of a workspace: it fires while the sum of the column Value of a query exceeds a threshold. Azure
// bills each such rule by the month, according to its frequency.

@description('Name of the rule.')
param name string

@description('Region of the rule.')
param location string

@description('Tags of the rule.')
param tags object

@description('Id of the workspace.')
param workspaceId string

@description('Ids of the action groups that are notified.')
param actionGroups array

@description('What the alert means.')
param description string

@description('From 0, critical, to 4.')
param severity int

@description('The query, in KQL. Its column Value is summed up.')
param query string

@description('The alert fires above it.')
param threshold int

@description('The time that the query covers.')
param window string

@description('How often the query runs.')
param frequency string

resource rule 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: name
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: name
    description: description
    enabled: true
    severity: severity
    scopes: [workspaceId]
    evaluationFrequency: frequency
    windowSize: window
    autoMitigate: true
    // A new workspace may not have the tables yet.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: query
          timeAggregation: 'Total'
          metricMeasureColumn: 'Value'
          operator: 'GreaterThan'
          threshold: threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: actionGroups
    }
  }
}
