// SPDX-License-Identifier: GPL-2.0
/*
 * The hypervisor's image: found by request_firmware under a fixed name, and
 * accepted only if it is the one that this module was built with. The hash
 * alone would do; what comes before it is there to say what is wrong.
 *
 * An image that was accepted is kept until the module goes. Reading and hashing
 * it were four fifths of an attach's instructions, and an attach that has it
 * needs no file system: not after sleep, and not when the disk is what is ill.
 * The copy is as trusted as this module's own text, which lies in the same
 * memory. It is looked for when the module is loaded; where it is not there yet
 * (an initramfs), or is refused, at each check and attach until it is accepted.
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

/* The image that was accepted. The machine's lock guards it. */
static const struct firmware *kept;

static void forget(void)
{
	release_firmware(kept);
	kept = NULL;
	mercury_machine.kept_bytes = 0;
}

/* Looks for the image, and keeps it if it is the right one. */
static int find(struct mercury_verdict *verdict)
{
	const struct mercury_image_header *header;
	const struct firmware *firmware;
	u8 hash[SHA256_DIGEST_SIZE];
	u64 size, want = 0, got = 0;
	int error;

	error = firmware_request_nowarn(&firmware, MERCURY_IMAGE_NAME, mercury_device.this_device);
	if (error) {
		mercury_verdict_set(verdict, MERCURY_REQUIREMENT_IMAGE_FOUND, -1, -error, 0,
				    MERCURY_IMAGE_NAME);
		return error;
	}
	size = firmware->size;
	header = (const void *)firmware->data;
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
	sha256(firmware->data, size, hash);
	if (memcmp(hash, mercury_image_sha256, sizeof(hash))) {
		memcpy(&got, hash, sizeof(got));
		memcpy(&want, mercury_image_sha256, sizeof(want));
		mercury_verdict_set(verdict, MERCURY_REQUIREMENT_IMAGE_HASH, -1, EKEYREJECTED, got,
				    "first 8 bytes of the image's SHA-256");
		verdict->expected = want;
		error = -EKEYREJECTED;
		goto refuse;
	}
	kept = firmware;
	mercury_machine.kept_bytes = size;
	return 0;
refuse:
	release_firmware(firmware);
	return error;
}

/* The machine's lock is held. What `image` points at stays while it is. */
int mercury_image_load(struct mercury_image *image, struct mercury_verdict *verdict)
{
	int error = 0;

	if (mercury_inject(MERCURY_POINT_FORGET, -1))
		forget();
	if (mercury_inject(MERCURY_POINT_FIRMWARE, -1)) {
		error = -ENOENT;
		mercury_verdict_set(verdict, MERCURY_REQUIREMENT_IMAGE_FOUND, -1, ENOENT, 0,
				    MERCURY_IMAGE_NAME);
	} else if (!kept) {
		error = find(verdict);
	}
	if (error)
		return error;
	image->header = (const void *)kept->data;
	image->bytes = kept->size;
	image->frames = image->header->memory_bytes / PAGE_SIZE;
	return 0;
}

/* When the module is loaded: if there is none, attach will say so. */
void mercury_image_init(void)
{
	struct mercury_verdict verdict;

	mutex_lock(&mercury_machine.lock);
	if (!kept)
		find(&verdict);
	mutex_unlock(&mercury_machine.lock);
}

void mercury_image_exit(void)
{
	forget();
}
