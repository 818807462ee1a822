/*
 * loads: loads programs one after the other, and says what the kernel said of each.
 *
 *	loads FILE
 *
 * FILE is a list of programs (package permissions): six numbers of 32 bits, which are the number of a cell, the type, where to
 * attach, the type to attach to, flags, and the number of instructions; then these. Once a program of a cell has been loaded, those of
 * the same cell behind it are skipped. Writes a line for each: cell, error number, last line of the verifier's log.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char log_text[1 << 20];

/* last_line leaves out figures, and advice, which newer kernels indent below what they refuse. What they refuse a call for counts most. */
static const char *last_line(void)
{
	static const char *const figures[] = { "processed ", "verification time", "stack depth", "insns processed", " " };
	char *last = "", *save, *line;

	for (line = strtok_r(log_text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned i;

		for (i = 0; i < sizeof(figures) / sizeof(*figures) && strncmp(line, figures[i], strlen(figures[i])); i++)
			;
		if (strstr(line, "calling kernel function ") || strstr(line, "program must be sleepable to call "))
			return line;
		if (i == sizeof(figures) / sizeof(*figures) && *line)
			last = line;
	}
	return last;
}

static int load(const unsigned *head, const void *insns)
{
	union bpf_attr a;
	int fd, tries = 0;

	do {
		memset(&a, 0, sizeof(a));
		log_text[0] = 0;
		a.prog_type = head[1];
		a.expected_attach_type = head[2];
		a.attach_btf_id = head[3];
		a.prog_flags = head[4];
		a.insn_cnt = head[5];
		a.insns = (unsigned long)insns;
		a.license = (unsigned long)"GPL";
		a.log_level = 1;
		a.log_buf = (unsigned long)log_text;
		a.log_size = sizeof(log_text);
		fd = syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
	} while (fd < 0 && errno == EAGAIN && tries++ < 20);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned head[6], done = -1;
	char *insns = NULL;
	FILE *f;

	if (argc != 2 || !(f = fopen(argv[1], "r"))) {
		fprintf(stderr, "usage: loads FILE\n");
		return 2;
	}
	while (fread(head, sizeof(head), 1, f) == 1) {
		int err;

		insns = realloc(insns, head[5] * 8);
		if (!insns || fread(insns, 8, head[5], f) != head[5]) {
			fprintf(stderr, "%s: too short\n", argv[1]);
			return 1;
		}
		if (head[0] == done)
			continue;
		err = load(head, insns);
		if (!err)
			done = head[0];
		printf("%u %d %s\n", head[0], err, err ? last_line() : "");
	}
	return 0;
}
