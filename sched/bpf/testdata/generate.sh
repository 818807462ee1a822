#!/bin/sh
# Compiles the objects of this directory and writes README. Needs clang and llvm-strip, version 19.
set -eu
cd "$(dirname "$0")"
CLANG=${CLANG:-clang-19} STRIP=${STRIP:-llvm-strip-19}
for src in *.bpf.c; do
	"$CLANG" -O2 -g -mcpu=v3 -target bpf -Wall -ffile-prefix-map="$PWD"=. -c "$src" -o "${src%.c}.o"
	"$STRIP" -g "${src%.c}.o"
done
{
	echo "Objects for the tests of sched/bpf, made by generate.sh from the sources beside them."
	echo
	echo "Compiler: $("$CLANG" --version | head -n 1)"
	echo "Flags: -O2 -g -mcpu=v3 -target bpf, then $STRIP -g"
	echo
	echo "sha256 of the sources:"
	sha256sum bpf.h *.bpf.c
} >README
