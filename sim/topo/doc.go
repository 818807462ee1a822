// Package topo describes the CPUs of a machine: cores and their threads, last-level caches, NUMA nodes.
package topo
