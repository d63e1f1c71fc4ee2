3-- a comment; with '
/* another ; */ CREATE TABLE [x y] (`z``w` INT, "q" AS (1) STORED) ; ﻿
;;CREATE TABLE w (k PRIMARY KEY, v) WITHOUT ROWID;INSERT INTO w VALUES('a
b',2) -- end