// SPDX-License-Identifier: GPL-2.0
/*
 * This CPU, as the rest of the module needs it: what it is, and what must be
 * noted or put aside when it goes through the door. This is ARM64.
 */
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/string.h>
#include <linux/smp.h>
#include <asm/sysreg.h>

#include "mercury.h"

/* Arm ARM D24.2; headers name it since 6.10. */
#define ID_MMFR4 sys_reg(3, 0, 0, 7, 4)

/* What the stub, KVM and everybody else answer differently. */
#define UNKNOWN_CALL 0xff

static unsigned int field(u64 value, unsigned int shift)
{
	return value >> shift & 0xf;
}

static u64 ask_el2(void)
{
	register u64 x0 asm("x0") = UNKNOWN_CALL;

	asm volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
		     "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
	return x0;
}

/* ID_AA64MMFR0_EL1: 0 means that stage 2 is as stage 1. */
static bool has_granule(u64 mmfr0)
{
	unsigned int stage2 = field(mmfr0, 40);

	return stage2 ? stage2 != 1 : field(mmfr0, 28) != 0xf;
}

static unsigned int address_bits(u64 mmfr0)
{
	static const u8 bits[] = { 32, 36, 40, 42, 44, 48, 52 };
	unsigned int range = field(mmfr0, 0);

	/* More than there is a table format for: 48 of them are used. */
	return bits[min_t(unsigned int, range, ARRAY_SIZE(bits) - 1)];
}

void mercury_facts_read(struct mercury_facts *facts)
{
	u64 mmfr0 = read_sysreg(id_aa64mmfr0_el1);

	memset(facts, 0, sizeof(*facts));
	facts->has_el2 = !!field(read_sysreg(id_aa64pfr0_el1), 8);
	facts->current_el = read_sysreg(CurrentEL) >> 2;
	if (*mercury_backend())
		facts->stub = ask_el2();
	facts->stage2_granule = has_granule(mmfr0);
	facts->host_only = field(read_sysreg_s(ID_MMFR4), 24);
	facts->address_bits = address_bits(mmfr0);
	facts->huge_leaves = 1;
	mercury_override(facts, raw_smp_processor_id());
}

/* At EL1 with an EL2 that Linux was booted at: somebody answers a call. */
const char *mercury_backend(void)
{
	return read_sysreg(CurrentEL) >> 2 == 1 && field(read_sysreg(id_aa64pfr0_el1), 8) ? "el2" : "";
}

/* How the firmware is asked for a reset, should the image come to its end. */
static u64 conduit(void)
{
	static const struct of_device_id versions[] = {
		{ .compatible = "arm,psci" }, { .compatible = "arm,psci-0.2" }, { .compatible = "arm,psci-1.0" }, { },
	};
	struct device_node *node = of_find_matching_node(NULL, versions);
	const char *method = "";

	of_property_read_string(node, "method", &method);
	of_node_put(node);
	return strcmp(method, "smc") ? 0 : MERCURY_CONDUIT_SMC;
}

/* Registers of a device: where they are, and how many bytes. */
static u64 registers(struct device_node *node, int index, u64 *bytes)
{
	struct resource resource;

	if (of_address_to_resource(node, index, &resource))
		return 0;
	if (bytes)
		*bytes = resource_size(&resource);
	return resource.start;
}

/*
 * What a roll-back has to know of the machine. Several bridges to PCI, or interrupt
 * controllers of which the CPUs' parts lie in several places, are not known.
 */
static void note_platform(struct mercury_noted *noted)
{
	static const struct of_device_id second[] = {
		{ .compatible = "arm,gic-400" }, { .compatible = "arm,cortex-a15-gic" }, { },
	};
	struct device_node *node;
	u32 regions = 1;

	memset(noted, 0, sizeof(*noted));
	node = of_find_compatible_node(NULL, NULL, "pci-host-ecam-generic");
	if (node) {
		noted->configuration = registers(node, 0, &noted->configuration_bytes);
		node = of_find_compatible_node(node, NULL, "pci-host-ecam-generic");
		if (node)
			noted->configuration_bytes = 0;
		of_node_put(node);
	}
	node = of_find_matching_node(NULL, second);
	if (node) {
		noted->controller = 2;
		noted->distributor = registers(node, 0, NULL);
		noted->interface = registers(node, 1, NULL);
		of_node_put(node);
	}
	node = of_find_compatible_node(NULL, NULL, "arm,gic-v3");
	if (node) {
		of_property_read_u32(node, "#redistributor-regions", &regions);
		noted->controller = regions == 1 ? 3 : 0;
		noted->distributor = registers(node, 0, NULL);
		noted->redistributors = registers(node, 1, &noted->redistributor_bytes);
		of_node_put(node);
	}
	for_each_compatible_node(node, NULL, "arm,gic-v3-its")
		if (noted->service_count++ < MERCURY_SERVICES)
			noted->services[noted->service_count - 1] = registers(node, 0, NULL);
}

void mercury_note_cpu(struct mercury_door *door)
{
	/* In process context, where device tree locks may be taken. */
	if (door->operation == MERCURY_OPERATION_PREPARE) {
		/* Searching the tree takes half as long as all the rest of an attach. */
		if (mercury_machine.store_frames)
			note_platform(&door->noted);
		door->noted.conduit = conduit();
	}
}

/* Breakpoints of EL1 do not reach EL2 (MDCR_EL2.TDE is clear). */
unsigned long mercury_disarm(void)
{
	return 0;
}

void mercury_arm(unsigned long disarmed)
{
}

int mercury_prepare_cpu(struct mercury_door *door, struct mercury_tables *tables)
{
	return 0;
}

/* There is one. */
void mercury_backend_choose(void)
{
}
