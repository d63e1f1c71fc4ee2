5.tables
SELECT 1;