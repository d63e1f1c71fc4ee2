/* SPDX-License-Identifier: MIT */
#ifndef LIDO_LIDO_H
#define LIDO_LIDO_H

/*
 * All of lido, but for what driver authors and simulations need (lido/sys/).
 */

#include <lido/backup.h>
#include <lido/cancel.h>
#include <lido/check.h>
#include <lido/conn.h>
#include <lido/dump.h>
#include <lido/file.h>
#include <lido/gate.h>
#include <lido/hooks.h>
#include <lido/job.h>
#include <lido/log.h>
#include <lido/manager.h>
#include <lido/pool.h>
#include <lido/process.h>
#include <lido/record.h>
#include <lido/run.h>
#include <lido/status.h>
#include <lido/stmt.h>
#include <lido/table.h>
#include <lido/txn.h>
#include <lido/upkeep.h>
#include <lido/url.h>
#include <lido/version.h>

#endif
