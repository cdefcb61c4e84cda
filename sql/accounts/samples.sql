SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Accounts to try calculator with: those that an embedded database begins with. Their password is public: 123qweasd.
-- No command applies this script, and on Azure these accounts cannot sign in until their password has been changed.
-- Idempotent: adds those that are missing and changes none. Run it with: sqlcmd -b -i samples.sql

WITH samples (username, role, password_hash) AS (
    SELECT 'testuser', 'USER',
           '$argon2id$v=19$m=19456,t=2,p=1$3k3UKaVw33Qxy26aIRR1NQ$w+HUyJmqwpQI/Kaly07TEFqMZ11ZS0QJNWM5AHrVPRo'
    UNION ALL SELECT 'testuser2', 'USER',
           '$argon2id$v=19$m=19456,t=2,p=1$AmnuT5IMOL/DM+8u3frjFg$hp4wNNaIHH4F+OePwKPfB4pQ+yLz8d3JxaTqops8Uwk'
    UNION ALL SELECT 'user', 'USER',
           '$argon2id$v=19$m=19456,t=2,p=1$Lpyyr5kEixW8sKMe2RpmkQ$nRwIono2TzikyTQyamGUyKG05Nuy7V6azoNcZbNirxU'
    UNION ALL SELECT 'user2', 'USER',
           '$argon2id$v=19$m=19456,t=2,p=1$SyjfNnykQWKolPmKwXWBRw$QeXox1CH8b8XKWOrxIzJzIEEqJr7Mdi+aeidI5qcnBI'
    UNION ALL SELECT 'admin', 'ADMIN',
           '$argon2id$v=19$m=19456,t=2,p=1$i21SCH8cswDHRSI1bur/2A$5aCDGQI5lNGTFcDl2t5qzGc+fFFxEOgzp+85q8qItvU'
)
INSERT INTO dbo.accounts (username, password_hash, role, is_active, is_sample, created_at)
SELECT samples.username, samples.password_hash, samples.role, 1, 1, '2026-01-01T00:00:00.000000'
FROM samples
WHERE NOT EXISTS (SELECT 1 FROM dbo.accounts AS present WHERE present.username = samples.username);
GO
