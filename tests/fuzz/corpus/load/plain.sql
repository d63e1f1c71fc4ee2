1CREATE TABLE t (a, b TEXT, c REAL);
INSERT INTO t VALUES(1, 'it''s; --', 2.5), (X'00ff', NULL, -1e999);
CREATE INDEX i ON t (b) WHERE a > 1;
