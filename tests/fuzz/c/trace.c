// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Where GCC's instrumentation of C reports to: libFuzzer takes the first array
 * as counters of its own (extra counters), the second is what was ever reached.
 * The place of a call is found again by engine/coverage.rs.
 */
#include <stdint.h>

#define PLACES 4096

unsigned char mercury_fuzz_counters[PLACES]
	__attribute__((section("__libfuzzer_extra_counters")));
unsigned char mercury_fuzz_reached[PLACES];

void mercury_fuzz_place(void);

void mercury_fuzz_place(void)
{
	uintptr_t place = (uintptr_t)__builtin_return_address(0) -
			  (uintptr_t)&mercury_fuzz_place;

	mercury_fuzz_counters[place % PLACES]++;
	mercury_fuzz_reached[place % PLACES] = 1;
}
