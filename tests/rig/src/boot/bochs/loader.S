/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Boots Linux on the PC that Bochs plays, from the disk that disk.rs writes.
 *
 * Bochs has no -kernel, and most of the time that a stock bzImage takes to boot
 * in it goes to the XZ decompressor. So the rig unpacks the kernel on the host
 * and this loader reads it, segment by segment, to where it belongs: nothing is
 * decompressed in the guest. It follows Linux's boot protocol
 * (Documentation/arch/x86/boot.rst): the 64-bit one for an unpacked kernel, the
 * 32-bit one for the bzImage as Debian ships it (APPEND=kaslr).
 *
 * The disk: 8 sectors of this, a sector with the table below, then the rest.
 * The table: entry, mode (64 or 32), count, then for each piece the first
 * sector, how many sectors, where to. The first piece is the page of boot
 * parameters, which this completes by the BIOS's memory map.
 *
 * A second boot is a reset: Bochs itself would start over and over. It is told
 * by a mark in memory, which a reset leaves alone, and ends Bochs by its
 * shutdown port.
 */
#define TABLE 0x8c00
#define MARK 0x7b00
#define MEMORY_MAP 0xa000
#define PARAMETERS 0x10000
#define PAGE_TABLES 0x20000

	.code16
	.globl	_start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7b00, %sp
	cld
	ljmp	$0, $1f
1:	cmpl	$0x5243524d, MARK
	je	shutdown
	movl	$0x5243524d, MARK
	/* The rest of this, and the table. */
	movb	$0x42, %ah
	movb	$0x80, %dl
	movw	$packet, %si
	int	$0x13
	jc	shutdown
	jmp	second
shutdown:
	movw	$0x8900, %dx
	movw	$word, %si
	movw	$8, %cx
	rep outsb
	hlt
	jmp	shutdown
word:	.ascii	"Shutdown"
	.balign	4
packet:	.word	16, 8
	.word	0x7e00, 0
	.quad	1
	.org	_start + 510
	.word	0xaa55

second:
	/* The memory map: 20 bytes an entry. */
	xorl	%ebx, %ebx
	movw	$MEMORY_MAP, %di
	movl	%ebx, maps
2:	movl	$0xe820, %eax
	movl	$20, %ecx
	movl	$0x534d4150, %edx
	int	$0x15
	jc	3f
	incl	maps
	addw	$20, %di
	testl	%ebx, %ebx
	jnz	2b
3:	inb	$0x92, %al
	orb	$2, %al
	outb	%al, $0x92
	lgdtl	gdtr
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$0x20, $protected

	.code32
protected:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$0x7b00, %esp
	/* Each piece. */
	movl	$TABLE + 12, %esi
	movl	TABLE + 8, %ebx
4:	pushl	%ebx
	pushl	%esi
	movl	8(%esi), %edi
	movl	4(%esi), %ebx
	movl	(%esi), %esi
	call	read
	popl	%esi
	addl	$12, %esi
	popl	%ebx
	decl	%ebx
	jnz	4b
	/* The memory map into the boot parameters. */
	movl	maps, %eax
	movb	%al, PARAMETERS + 0x1e8
	movl	$MEMORY_MAP, %esi
	movl	$PARAMETERS + 0x2d0, %edi
	leal	(%eax, %eax, 4), %ecx
	rep movsl
	cmpl	$64, TABLE + 4
	je	5f
	movl	$PARAMETERS, %esi
	xorl	%ebp, %ebp
	xorl	%edi, %edi
	xorl	%ebx, %ebx
	jmp	*TABLE
5:	/* 4 GiB mapped to themselves in 2-MiB pages. */
	movl	$PAGE_TABLES, %edi
	xorl	%eax, %eax
	movl	$6 * 1024, %ecx
	rep stosl
	movl	$PAGE_TABLES + 0x1003, PAGE_TABLES
	movl	$4, %ecx
6:	movl	%ecx, %eax
	shll	$12, %eax
	addl	$PAGE_TABLES + 0x1003, %eax
	movl	%eax, PAGE_TABLES + 0x1000 - 8(, %ecx, 8)
	loop	6b
	movl	$2048, %ecx
7:	leal	-1(%ecx), %eax
	shll	$21, %eax
	orl	$0x83, %eax
	movl	%eax, PAGE_TABLES + 0x2000 - 8(, %ecx, 8)
	loop	7b
	movl	%cr4, %eax
	orl	$0x20, %eax
	movl	%eax, %cr4
	movl	$PAGE_TABLES, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmpl	$0x10, $8f
	.code64
8:	movl	$PARAMETERS, %esi
	movl	TABLE, %eax
	jmp	*%rax

	.code32
	/* EBX sectors from sector ESI on to EDI, by PIO: 28-bit addresses, 256
	 * sectors a command. */
read:	movl	%ebx, %eax
	cmpl	$256, %eax
	jbe	1f
	movl	$256, %eax
1:	movl	%eax, %ebp
	subl	%ebp, %ebx
	movw	$0x1f2, %dx
	outb	%al, %dx
	movl	%esi, %eax
	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	orb	$0xe0, %al
	incw	%dx
	outb	%al, %dx
	movb	$0x20, %al
	incw	%dx
	outb	%al, %dx
	addl	%ebp, %esi
2:	movw	$0x1f7, %dx
3:	inb	%dx, %al
	andb	$0x88, %al
	cmpb	$8, %al
	jne	3b
	movw	$0x1f0, %dx
	movl	$128, %ecx
	rep insl
	decl	%ebp
	jnz	2b
	testl	%ebx, %ebx
	jnz	read
	ret

	.balign	8
maps:	.long	0
	/* Linux wants code at 0x10 and data at 0x18; 0x10 is 64-bit or 32-bit. */
gdt:	.quad	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
gdtr:	.word	39
	.long	gdt
	.org	_start + 4096
