package vm

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// takeMaps is createMaps for maps that exist already. The table's hooks get to know this set beside those that had it
// before.
func (l *loader) takeMaps() error {
	s := l.s
	s.maps, s.list = s.opt.Table, s.opt.Maps
	l.refused = map[int]error{}
	for i := range l.o.Maps {
		if i >= len(s.list) || s.list[i] == nil {
			l.refused[i] = abi.ENOENT
			continue
		}
		if a, ok := s.list[i].(*maps.Arena); ok {
			s.arena = a
		}
	}
	was := s.maps.Hooks
	s.maps.Hooks.Kptr = func(f maps.Field, ptr uint64) {
		if s.objects.DropAt(ptr) || s.objects.DropPerCPUAt(ptr) {
			return
		}
		if was.Kptr != nil {
			was.Kptr(f, ptr)
		}
	}
	s.maps.Hooks.Graph = func(f maps.Field, addr uint64) {
		s.objects.DropAll(addr)
		if was.Graph != nil {
			was.Graph(f, addr)
		}
	}
	return nil
}

// chainHooks makes the release of fields reach the helpers of earlier sets on the same table too. was are the hooks from
// before the helpers of this set took them.
func (l *loader) chainHooks(was maps.Hooks) {
	if l.s.opt.Table == nil {
		return
	}
	h := &l.s.maps.Hooks
	h.Timer = both(h.Timer, was.Timer)
	h.Workqueue = both(h.Workqueue, was.Workqueue)
	h.TaskWork = both(h.TaskWork, was.TaskWork)
}

func both(a, b func(uint64)) func(uint64) {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(addr uint64) {
		a(addr)
		b(addr)
	}
}
