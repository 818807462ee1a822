package maps

import "github.com/schedsim/schedsim/vm/abi"

// CheckLookup and CheckUpdate are what LookupElem and UpdateElem say about flags, for callers that must know before they
// touch user memory: a wrong flag goes before a bad address.
func CheckLookup(m Map, flags uint64) abi.Errno { return m.Info().opFlags(flags, Lock|OneCPU) }

// CheckUpdate is CheckLookup for UpdateElem.
func CheckUpdate(m Map, flags uint64) abi.Errno { return m.Info().opFlags(flags, 1<<32-1) }

// Check tells whether a map can be created, as Table.New would: for callers that must know before they look at names and
// types.
func (s *Spec) Check() error { return s.check() }
