/* SPDX-License-Identifier: GPL-2.0 */
/* x86: the commands, one file each. */
#ifndef MERCURY_TEST_ARCH_H
#define MERCURY_TEST_ARCH_H

#include <linux/types.h>

struct answer;

int command_state(const char *words, struct answer *answer);
int command_hole(const char *words, struct answer *answer);
int command_instruction(const char *words, struct answer *answer);
int command_msr(const char *words, struct answer *answer);
int command_nmi(const char *words, struct answer *answer);
int command_take(const char *words, struct answer *answer);
int command_touch(const char *words, struct answer *answer);
int command_hostile(const char *words, struct answer *answer);

void nmi_stop(void);

/* No firmware is called here. */
static inline bool arch_call_firmware(void)
{
	return false;
}

#endif
