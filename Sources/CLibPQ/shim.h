#pragma once
#include <libpq-fe.h>

/* Swift does not import macros that are character constants. */
enum {
  DIAG_SEVERITY = PG_DIAG_SEVERITY_NONLOCALIZED,
  DIAG_SQLSTATE = PG_DIAG_SQLSTATE,
  DIAG_MESSAGE = PG_DIAG_MESSAGE_PRIMARY,
  DIAG_DETAIL = PG_DIAG_MESSAGE_DETAIL,
  DIAG_HINT = PG_DIAG_MESSAGE_HINT,
  DIAG_TABLE = PG_DIAG_TABLE_NAME,
  DIAG_COLUMN = PG_DIAG_COLUMN_NAME,
  DIAG_CONSTRAINT = PG_DIAG_CONSTRAINT_NAME,
};

/* glibc has these, but Swift's Glibc module sees its headers without _GNU_SOURCE. */
#include <spawn.h>
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *, const char *);
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);
enum { SPAWN_SETSID = 0x80 }; /* POSIX_SPAWN_SETSID */
