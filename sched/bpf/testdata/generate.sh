#!/bin/sh
# Compiles the objects of this directory and writes README. Needs clang and llvm-strip, version 19, and for jump22.bpf.o a
# clang 22 in $CLANG22.
set -eu
cd "$(dirname "$0")"
CLANG=${CLANG:-clang-19} STRIP=${STRIP:-llvm-strip-19}
for src in *.bpf.c; do
	"$CLANG" -O2 -g -mcpu=v3 -target bpf -Wall -ffile-prefix-map="$PWD"=. -c "$src" -o "${src%.c}.o"
	"$STRIP" -g "${src%.c}.o"
done
if [ -n "${CLANG22:-}" ]; then
	"$CLANG22" -O2 -g -mcpu=v4 -mllvm -bpf-min-jump-table-entries=4 -target bpf -Wall -ffile-prefix-map="$PWD"=. -c jump.bpf.c -o jump22.bpf.o
	"$STRIP" -g jump22.bpf.o
fi
{
	echo "Objects for the tests of sched/bpf, made by generate.sh from the sources beside them."
	echo
	echo "Compiler: $("$CLANG" --version | head -n 1)"
	echo "Flags: -O2 -g -mcpu=v3 -target bpf, then $STRIP -g"
	echo "jump22.bpf.o: jump.bpf.c by clang 22.1.8 with -mcpu=v4 -mllvm -bpf-min-jump-table-entries=4"
	echo
	echo "sha256 of the sources:"
	sha256sum bpf.h *.bpf.c
} >README
