/* SPDX-License-Identifier: GPL-2.0 */
/*
 * walk.h with names that a linker sees. Structures go by pointer: the rest is
 * src/walk.rs.
 */
#include "walk.h"

void shim_walk_in(const struct mercury_walk *walk, void *context, struct mercury_walk_result *result);
unsigned int shim_walk_result_bytes(void);

void shim_walk_in(const struct mercury_walk *walk, void *context, struct mercury_walk_result *result)
{
	*result = mercury_walk_in(walk, context);
}

unsigned int shim_walk_result_bytes(void)
{
	return sizeof(struct mercury_walk_result);
}
