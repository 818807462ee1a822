package sim

import "math/bits"

// taskTable finds tasks by number, address and order of creation.
type taskTable struct {
	byIndex []*Task
	free    []int32 // indexes to be used again, last first
	byPID   []*Task // nil where the task is gone
	byAddr  addrTable
	first   *Task // live tasks in order of creation, without idle tasks and stoppers
	last    *Task
	live    int
}

func (tt *taskTable) init() {
	tt.byPID = []*Task{nil} // PID 0 is shared by the idle tasks
	tt.byAddr.grow(64)
}

func (tt *taskTable) newPID() int32 {
	tt.byPID = append(tt.byPID, nil)
	return int32(len(tt.byPID) - 1)
}

// add gives t its index and makes it known by address and PID.
func (tt *taskTable) add(t *Task) {
	if n := len(tt.free); n > 0 {
		t.Index = tt.free[n-1]
		tt.free = tt.free[:n-1]
		tt.byIndex[t.Index] = t
	} else {
		t.Index = int32(len(tt.byIndex))
		tt.byIndex = append(tt.byIndex, t)
	}
	if t.PID != 0 {
		tt.byPID[t.PID] = t
	}
	tt.byAddr.put(t.K.Addr, t)
}

// drop forgets t.
func (tt *taskTable) drop(t *Task) {
	tt.byIndex[t.Index] = nil
	tt.free = append(tt.free, t.Index)
	tt.byPID[t.PID] = nil
	tt.byAddr.remove(t.K.Addr)
}

// link appends t to the live tasks.
func (tt *taskTable) link(t *Task) {
	t.prev = tt.last
	if tt.last != nil {
		tt.last.next = t
	} else {
		tt.first = t
	}
	tt.last = t
	tt.live++
}

// unlink takes t out of the live tasks. Its next pointer stays, for a walk that stands on it. Its PID finds it no more,
// its address does until it is dropped.
func (tt *taskTable) unlink(t *Task) {
	tt.byPID[t.PID] = nil
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		tt.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		tt.last = t.prev
	}
	tt.live--
}

// Tasks calls f for each live task in the order of creation (the idle tasks are not among them). f may end the task
// that it is called with; tasks created meanwhile are visited too.
func (m *Machine) Tasks(f func(t *Task)) {
	for t := m.tasks.first; t != nil; t = t.next {
		f(t)
	}
}

// FirstTask is the oldest live task, NextTask the next one after t; nil if there is none. Idle tasks are not met.
func (m *Machine) FirstTask() *Task { return m.tasks.first }

// NextTask goes on from a live task.
func (m *Machine) NextTask(t *Task) *Task { return t.next }

// Leader is the task that leads t's process: t itself unless it is a further thread. It may have ended before its threads.
func (t *Task) Leader() *Task {
	if t.leader != nil {
		return t.leader
	}
	return t
}

// NrTasks is the number of live tasks, idle tasks and tasks that have yet to start not included.
func (m *Machine) NrTasks() int { return m.tasks.live }

// MaxIndex is larger than every Index in use, idle tasks included.
func (m *Machine) MaxIndex() int { return len(m.tasks.byIndex) }

// TaskByIndex returns the task with that Index, nil if there is none.
func (m *Machine) TaskByIndex(i int32) *Task {
	if uint(i) >= uint(len(m.tasks.byIndex)) {
		return nil
	}
	return m.tasks.byIndex[i]
}

// TaskByPID returns the live task with that PID, nil if there is none.
func (m *Machine) TaskByPID(pid int32) *Task {
	if uint(pid) >= uint(len(m.tasks.byPID)) {
		return nil
	}
	return m.tasks.byPID[pid]
}

// TaskByAddr returns the task whose task_struct is at the simulated address addr, idle tasks included; nil if none.
func (m *Machine) TaskByAddr(addr uint64) *Task { return m.tasks.byAddr.get(addr) }

// addrTable is a hash table from addresses to tasks with linear probing. Kernel functions are called with addresses
// all the time, and with arbitrary ones: a Go map costs several times as much.
type addrTable struct {
	slots []addrSlot
	shift uint // 64 - log2(len(slots))
	n     int
}

// addrSlot is free when its address is 0.
type addrSlot struct {
	addr uint64
	t    *Task
}

// home is the slot where the search for addr begins: the upper bits of a multiplication by 2^64/phi.
func (a *addrTable) home(addr uint64) int { return int(addr * 0x9e37_79b9_7f4a_7c15 >> a.shift) }

func (a *addrTable) get(addr uint64) *Task {
	if addr == 0 {
		return nil
	}
	mask := len(a.slots) - 1
	for i := a.home(addr); ; i = (i + 1) & mask {
		switch s := &a.slots[i]; s.addr {
		case addr:
			return s.t
		case 0:
			return nil
		}
	}
}

func (a *addrTable) put(addr uint64, t *Task) {
	if 2*(a.n+1) > len(a.slots) {
		a.grow(2 * len(a.slots))
	}
	a.n++
	a.place(addr, t)
}

func (a *addrTable) place(addr uint64, t *Task) {
	mask := len(a.slots) - 1
	i := a.home(addr)
	for a.slots[i].addr != 0 {
		i = (i + 1) & mask
	}
	a.slots[i] = addrSlot{addr, t}
}

// remove closes the gap by moving back those behind it that may come forward.
func (a *addrTable) remove(addr uint64) {
	mask := len(a.slots) - 1
	i := a.home(addr)
	for a.slots[i].addr != addr {
		if a.slots[i].addr == 0 {
			return
		}
		i = (i + 1) & mask
	}
	a.n--
	for j := i; ; {
		a.slots[i] = addrSlot{}
		for {
			j = (j + 1) & mask
			if a.slots[j].addr == 0 {
				return
			}
			// The one at j may move to i unless its home lies cyclically in (i, j].
			if h := a.home(a.slots[j].addr); (j-h)&mask >= (j-i)&mask {
				break
			}
		}
		a.slots[i] = a.slots[j]
		i = j
	}
}

// grow makes room for n slots, a power of two.
func (a *addrTable) grow(n int) {
	old := a.slots
	a.slots = make([]addrSlot, n)
	a.shift = uint(64 - bits.Len(uint(n-1)))
	for _, s := range old {
		if s.addr != 0 {
			a.place(s.addr, s.t)
		}
	}
}

// nextBit returns the lowest set bit of s from i on, -1 if there is none.
func nextBit(s []uint64, i int) int {
	w := i / 64
	if w >= len(s) {
		return -1
	}
	if x := s[w] >> (i % 64); x != 0 {
		return i + bits.TrailingZeros64(x)
	}
	for w++; w < len(s); w++ {
		if s[w] != 0 {
			return w*64 + bits.TrailingZeros64(s[w])
		}
	}
	return -1
}
