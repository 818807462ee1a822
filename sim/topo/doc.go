// Package topo describes the CPUs of a machine: cores and their threads, last-level caches, NUMA nodes, capacities.
//
// A Topology is built once, by Parse, ParseJSON, Host, Flat or New, and never changes. Ids of cores, caches and nodes are dense
// from 0, and what belongs together is at hand as lists and as bit masks (Set), so that code that schedules does not search.
package topo
