// Package qemu boots the lab's kernel: it packs an initramfs (Archive), starts QEMU with the flags that make a run repeatable
// (Machine), and splits up what the guest writes to its port.
//
// Read Machine first.
package qemu
