SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Records of the sample accounts: those that an embedded database begins with. python -m admin add-samples applies it.
-- Idempotent: an account that has used the calculator, or was granted credit, is left as it is.
-- Run it after the samples of accounts: sqlcmd -b -i samples.sql

-- testuser: granted 10,000, and 1,100 records of the six operations in turn, 28 credits for all six. testuser2: 833
-- additions. A balance with records, of which there are none yet, is one that the statement before inserted.
INSERT INTO calculator_balances (account_id, balance, granted, records)
SELECT accounts.id, 7370, 10000, 1100 FROM accounts
WHERE accounts.username = 'testuser' AND accounts.is_sample = 1
AND NOT EXISTS (SELECT 1 FROM calculator_balances AS present WHERE present.account_id = accounts.id);
GO

WITH digits AS (
    SELECT 0 AS digit UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
), rounds AS (
    SELECT 100 * hundreds.digit + 10 * tens.digit + units.digit AS number
    FROM digits AS hundreds JOIN digits AS tens ON 1 = 1 JOIN digits AS units ON 1 = 1
), operations AS (
    SELECT 1 AS id, 3 AS amount, 3 AS spent, '0.3' AS response
    UNION ALL SELECT 2, 3, 6, '-1'
    UNION ALL SELECT 3, 5, 11, '42'
    UNION ALL SELECT 4, 5, 16, '0.3333333333333333333333333333'
    UNION ALL SELECT 5, 4, 20, '1.414213562373095048801688724'
    UNION ALL SELECT 6, 8, 28, 'k3Pz9QxA'
)
INSERT INTO calculator_records (account_id, operation_id, amount, user_balance, operation_response, created_at)
SELECT accounts.id, operations.id, operations.amount, 12500 - 28 * rounds.number - operations.spent,
       operations.response, accounts.created_at
FROM accounts
JOIN calculator_balances ON calculator_balances.account_id = accounts.id AND calculator_balances.records = 1100
JOIN rounds ON 1 = 1
JOIN operations ON 6 * rounds.number + operations.id <= 1100
WHERE accounts.username = 'testuser'
AND NOT EXISTS (SELECT 1 FROM calculator_records AS present WHERE present.account_id = accounts.id)
ORDER BY rounds.number, operations.id;
GO

INSERT INTO calculator_balances (account_id, balance, granted, records)
SELECT accounts.id, 1, 0, 833 FROM accounts
WHERE accounts.username = 'testuser2' AND accounts.is_sample = 1
AND NOT EXISTS (SELECT 1 FROM calculator_balances AS present WHERE present.account_id = accounts.id);
GO

WITH digits AS (
    SELECT 0 AS digit UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
), numbers AS (
    SELECT 100 * hundreds.digit + 10 * tens.digit + units.digit + 1 AS number
    FROM digits AS hundreds JOIN digits AS tens ON 1 = 1 JOIN digits AS units ON 1 = 1
)
INSERT INTO calculator_records (account_id, operation_id, amount, user_balance, operation_response, created_at)
SELECT accounts.id, 1, 3, 2500 - 3 * numbers.number, CAST(numbers.number AS NVARCHAR(10)), accounts.created_at
FROM accounts
JOIN calculator_balances ON calculator_balances.account_id = accounts.id AND calculator_balances.records = 833
JOIN numbers ON numbers.number <= 833
WHERE accounts.username = 'testuser2'
AND NOT EXISTS (SELECT 1 FROM calculator_records AS present WHERE present.account_id = accounts.id)
ORDER BY numbers.number;
GO
