// Package objects keeps what programs allocate with bpf_obj_new, and the red-black trees and lists that own such objects.
// It follows the bpf_obj_, bpf_refcount_, bpf_rbtree_ and bpf_list_ functions of kernel/bpf/helpers.c and lib/rbtree.c
// (7.2).
//
// In the kernel the verifier knows the type behind every pointer and hands layouts to the functions. Here each object
// remembers its own, so that the functions need no more than the addresses that programs pass, and any number that is
// none of those is a fault. The links between nodes are kept here and not in the simulated memory, whose fields are opaque
// to programs: nothing that a program writes can break a tree.
//
// Read Table first.
package objects
