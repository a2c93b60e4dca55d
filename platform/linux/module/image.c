// SPDX-License-Identifier: GPL-2.0
/*
 * The hypervisor's image: found by request_firmware under a fixed name, and
 * accepted only if it is the one that this module was built with. The hash
 * alone would do; what comes before it is there to say what is wrong.
 */
#include <linux/firmware.h>
#include <linux/miscdevice.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
#include <crypto/sha2.h>
#else
#include <crypto/sha.h>
#endif

#include "mercury.h"
#include "image_header.h"
#include "image_hash.h"

const u8 mercury_image_sha256[SHA256_DIGEST_SIZE] = MERCURY_IMAGE_SHA256;
extern struct miscdevice mercury_device;

int mercury_image_load(struct mercury_image *image, struct mercury_verdict *verdict)
{
	const struct mercury_image_header *header;
	u8 hash[SHA256_DIGEST_SIZE];
	u64 size, want = 0, got = 0;
	int error;

	error = mercury_inject(MERCURY_POINT_FIRMWARE, -1) ? -ENOENT :
		firmware_request_nowarn(&image->firmware, MERCURY_IMAGE_NAME, mercury_device.this_device);
	if (error) {
		mercury_verdict_set(verdict, MERCURY_REQUIREMENT_IMAGE_FOUND, -1, -error, 0,
				    MERCURY_IMAGE_NAME);
		return error;
	}
	size = image->firmware->size;
	header = (const void *)image->firmware->data;
	error = -ENOEXEC;
	switch (mercury_image_examine(header, size, MERCURY_ARCHITECTURE, MERCURY_IMAGE_BASE)) {
	case MERCURY_IMAGE_FITS:
		break;
	case MERCURY_IMAGE_NONE:
		mercury_verdict_set(verdict, MERCURY_REQUIREMENT_IMAGE_WHOLE, -1, ENOEXEC, size,
				    "bytes; not an image of Mercury, or cut off in its header");
		goto refuse;
	case MERCURY_IMAGE_FOREIGN:
		mercury_verdict_set(verdict, MERCURY_REQUIREMENT_IMAGE_ARCHITECTURE, -1, ENOEXEC, 0, "");
		memcpy(verdict->detail, header->architecture, sizeof(header->architecture));
		goto refuse;
	case MERCURY_IMAGE_OTHER_DOOR:
		mercury_verdict_set(verdict, MERCURY_REQUIREMENT_IMAGE_ABI, -1, ENOEXEC, header->abi,
				    "version of the door in the image's header");
		verdict->expected = MERCURY_DOOR_ABI;
		goto refuse;
	case MERCURY_IMAGE_CUT:
		mercury_verdict_set(verdict, MERCURY_REQUIREMENT_IMAGE_WHOLE, -1, ENOEXEC, size,
				    "bytes in the file; the header says otherwise");
		verdict->expected = header->file_bytes;
		goto refuse;
	}
	sha256(image->firmware->data, size, hash);
	if (memcmp(hash, mercury_image_sha256, sizeof(hash))) {
		memcpy(&got, hash, sizeof(got));
		memcpy(&want, mercury_image_sha256, sizeof(want));
		mercury_verdict_set(verdict, MERCURY_REQUIREMENT_IMAGE_HASH, -1, EKEYREJECTED, got,
				    "first 8 bytes of the image's SHA-256");
		verdict->expected = want;
		error = -EKEYREJECTED;
		goto refuse;
	}
	image->header = header;
	image->frames = header->memory_bytes / PAGE_SIZE;
	mercury_machine.firmware_held = true;
	return 0;
refuse:
	release_firmware(image->firmware);
	return error;
}

void mercury_image_release(struct mercury_image *image)
{
	release_firmware(image->firmware);
	mercury_machine.firmware_held = false;
}
