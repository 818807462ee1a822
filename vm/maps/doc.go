// Package maps models BPF maps over simulated memory. It follows kernel/bpf/arraymap.c, hashtab.c, lpm_trie.c,
// bloom_filter.c, queue_stack_maps.c, ringbuf.c, map_in_map.c, bpf_local_storage.c and syscall.c (7.2) in limits, flags and
// error numbers.
//
// All values live in the address space, where programs load and store them directly; keys of hash maps too. What the
// kernel keeps in list heads and hash chains is kept in Go, so that no program can corrupt it. There is one thread, so
// nothing locks, and memory of deleted elements is reused at once rather than after a grace period.
//
// Orders that the kernel leaves open are fixed: a hash map's iteration order depends on its keys, its size and the
// history of its insertions only. Update of an existing element of a hash or trie works in place, where the kernel swaps in a
// new one. What the special fields of a deleted element hold is released at once; the kernel stops its timers then, but may
// keep its kptrs until the memory is freed, and show them to whoever gets the element next.
//
// Read Table first (the maps of one program set), then Map: what programs do. What user space does with bpf() is in sys.go
// and batch.go.
package maps
