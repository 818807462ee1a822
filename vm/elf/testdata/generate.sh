#!/bin/sh
# Compiles the objects of this directory and writes README. Needs clang and llvm-strip, version 19.
set -eu
cd "$(dirname "$0")"
CLANG=${CLANG:-clang-19} STRIP=${STRIP:-llvm-strip-19}
for src in *.bpf.c; do
	cpu=v3
	[ "$src" = isa.bpf.c ] && cpu=v4
	"$CLANG" -O2 -g -mcpu=$cpu -target bpf -Wall -ffile-prefix-map="$PWD"=. -c "$src" -o "${src%.c}.o"
	"$STRIP" -g "${src%.c}.o"
done
{
	echo "Objects for the tests of vm/elf and vm/link, made by generate.sh from the sources beside them."
	echo
	echo "Compiler: $("$CLANG" --version | head -n 1)"
	echo "Flags: -O2 -g -mcpu=v3 -target bpf (isa.bpf.c: -mcpu=v4), then $STRIP -g"
	echo
	echo "sha256 of the sources:"
	sha256sum bpf.h *.bpf.c
} >README
