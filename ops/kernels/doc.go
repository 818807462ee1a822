// Package kernels holds the kernels that can be simulated, as data: a reduced BTF, the configuration and the list of
// kernel functions of each. A version lives in a generated package of its own (v7_2); read Kernel first.
//
// scripts/kernels makes the data again, or that of another release, from the kernel packages of Debian:
//
//	scripts/kernels 6.16 6.18 7.2 7.3
//
// A new version is one more line in the function all.
package kernels
