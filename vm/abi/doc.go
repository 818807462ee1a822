// Package abi is what the BPF machine and its host agree on: kernel functions, their calling convention, and the
// services that programs expect of the kernel around them. It knows nothing of scheduling.
package abi
