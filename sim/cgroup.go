package sim

import (
	"fmt"
	"math"
	"strings"

	"github.com/schedsim/schedsim/sim/kobj"
)

// Defaults and limits of the files of a cgroup.
const (
	CgroupWeightMin = 1      // CGROUP_WEIGHT_MIN
	CgroupWeightDfl = 100    // CGROUP_WEIGHT_DFL
	CgroupWeightMax = 10_000 // CGROUP_WEIGHT_MAX
	// QuotaMax is the quota of a cgroup without one ("max", RUNTIME_INF).
	QuotaMax uint64 = math.MaxUint64

	defaultPeriodUS = 100_000          // default_bw_period_us
	minBandwidthUS  = 1000             // min_bw_quota_period_us
	maxPeriodUS     = 1_000_000        // max_bw_quota_period_us
	maxRuntimeUS    = 1<<44 - 1        // MAX_BW
	defaultShares   = 1024 << 10       // NICE_0_LOAD
	idleShares      = weightIdle << 10 // WEIGHT_IDLEPRIO
)

// graceTicks is how long the machine takes until nobody can still be looking at a removed cgroup (an RCU grace period): an
// assumption, at the lower end of what an idle machine shows.
const graceTicks = 3

// Cgroup is a cgroup of the default hierarchy (version 2) with the controllers cpu and cpuset, which are enabled
// everywhere. What programs can see of it lives in K.
type Cgroup struct {
	K    kobj.Cgroup
	ID   uint64 // kn->id; the root has 1
	Name string // "" for the root
	// Index is a small dense number, reused after the cgroup is gone; the root has 0. Classes keep their state in slices
	// by it.
	Index  int32
	Parent *Cgroup // nil for the root

	// Weight is cpu.weight as sched_ext keeps it (tg->scx.weight), Shares the load weight of the group on 64 bits
	// (tg->shares).
	Weight uint32
	Shares uint64
	Idle   bool // cpu.idle
	// PeriodUS, QuotaUS and BurstUS are cpu.max and cpu.max.burst; QuotaMax is no limit.
	PeriodUS, QuotaUS, BurstUS uint64

	cpus      []uint64 // cpuset.cpus, nil if nothing was written
	effective []uint64 // cpuset.cpus.effective
	// first, last: children in order of creation, removed ones until they are released.
	first, last, prev, next *Cgroup
	tasks, tasksEnd         *Task
	nrTasks                 int
	populated               int // tasks in it and below
	online                  bool
	released                bool
	refs                    int
	timer                   Timer
}

// Online tells whether c can still be used: it was not removed.
func (c *Cgroup) Online() bool { return c.online }

// NrTasks is the number of tasks in c itself.
func (c *Cgroup) NrTasks() int { return c.nrTasks }

// Path is the path of c below the root of the hierarchy: "/", "/web/front".
func (c *Cgroup) Path() string {
	if c.Parent == nil {
		return "/"
	}
	var parts []string
	for p := c; p.Parent != nil; p = p.Parent {
		parts = append(parts, p.Name)
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(parts[i])
	}
	return b.String()
}

// Under tells whether c is a or below it (cgroup_is_descendant).
func (c *Cgroup) Under(a *Cgroup) bool {
	for ; c != nil; c = c.Parent {
		if c == a {
			return true
		}
	}
	return false
}

// First and Next walk over the children of a cgroup in order of creation; removed ones that are still held are among
// them (css_next_child).
func (c *Cgroup) First() *Cgroup { return c.first }

// Next is the next child of c's parent, nil at the end.
func (c *Cgroup) Next() *Cgroup { return c.next }

// NextPre is what follows c in a walk over root and everything below it, parents first (css_next_descendant_pre).
func (c *Cgroup) NextPre(root *Cgroup) *Cgroup {
	if c.first != nil {
		return c.first
	}
	for ; c != root; c = c.Parent {
		if c.next != nil {
			return c.next
		}
	}
	return nil
}

// FirstPost and NextPost are the same with children first (css_next_descendant_post).
func (c *Cgroup) FirstPost() *Cgroup {
	for c.first != nil {
		c = c.first
	}
	return c
}

// NextPost is what follows c in a walk with children first, nil behind root.
func (c *Cgroup) NextPost(root *Cgroup) *Cgroup {
	switch {
	case c == root:
		return nil
	case c.next != nil:
		return c.next.FirstPost()
	}
	return c.Parent
}

// Tasks calls f for each task in c itself, in the order in which they came. f may move or end the task.
func (c *Cgroup) Tasks(f func(t *Task)) {
	for t := c.tasks; t != nil; {
		next := t.cgNext
		f(t)
		t = next
	}
}

// cgroups finds the machine's cgroups.
type cgroups struct {
	root    *Cgroup
	byIndex []*Cgroup
	free    []int32
	lastID  uint64
}

// initCgroups makes the root (cgroup_init).
func (m *Machine) initCgroups() error {
	k, err := kobj.NewCgroup(m.mem, m.layout, kobj.Cgroup{}, "", 1)
	if err != nil {
		return err
	}
	c := newCgroup(k, "", 1)
	c.effective = append([]uint64(nil), m.active.Words()...)
	m.cg = cgroups{root: c, byIndex: []*Cgroup{c}, lastID: 1}
	return nil
}

func newCgroup(k kobj.Cgroup, name string, id uint64) *Cgroup {
	return &Cgroup{K: k, ID: id, Name: name, Weight: CgroupWeightDfl, Shares: defaultShares, PeriodUS: defaultPeriodUS,
		QuotaUS: QuotaMax, online: true}
}

// Root is the root of the cgroups.
func (m *Machine) Root() *Cgroup { return m.cg.root }

// RootCgroup is the root's struct cgroup.
func (m *Machine) RootCgroup() kobj.Cgroup { return m.cg.root.K }

// MaxCgroupIndex is larger than every Cgroup.Index in use.
func (m *Machine) MaxCgroupIndex() int { return len(m.cg.byIndex) }

// CgroupByID returns the cgroup with that id that was not removed, nil if there is none (cgroup_get_from_id).
func (m *Machine) CgroupByID(id uint64) *Cgroup {
	for _, c := range m.cg.byIndex {
		if c != nil && c.ID == id && c.online {
			return c
		}
	}
	return nil
}

// CgroupByAddr returns the cgroup whose struct cgroup is at the simulated address addr, a removed one too while it is
// held; nil if there is none.
func (m *Machine) CgroupByAddr(addr uint64) *Cgroup {
	for _, c := range m.cg.byIndex {
		if c != nil && c.K.Addr == addr {
			return c
		}
	}
	return nil
}

// CgroupByPath returns the cgroup at an absolute path, nil if there is none.
func (m *Machine) CgroupByPath(path string) *Cgroup {
	c := m.cg.root
	for _, name := range strings.Split(path, "/") {
		if name == "" {
			continue
		}
		if c = c.child(name); c == nil {
			return nil
		}
	}
	return c
}

// child returns the live child of that name.
func (c *Cgroup) child(name string) *Cgroup {
	for ch := c.first; ch != nil; ch = ch.next {
		if ch.online && ch.Name == name {
			return ch
		}
	}
	return nil
}

// Mkdir makes a cgroup below parent. It follows cgroup_mkdir (kernel/cgroup/cgroup.c, 7.2): a class may refuse it
// (cpu_cgroup_css_online).
func (m *Machine) Mkdir(parent *Cgroup, name string) (*Cgroup, error) {
	refuse := func(e Errno, why string) (*Cgroup, error) {
		return nil, &OpError{"mkdir " + strings.TrimSuffix(parent.Path(), "/") + "/" + name, e, why}
	}
	switch {
	case !parent.online:
		return refuse(ENODEV, "the parent was removed")
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\n\x00"):
		return refuse(EINVAL, "not a name")
	case parent.child(name) != nil:
		return refuse(EEXIST, "")
	}
	k, err := kobj.NewCgroup(m.mem, m.layout, parent.K, name, m.cg.lastID+1)
	if err != nil {
		return refuse(ENOMEM, err.Error())
	}
	m.cg.lastID++
	c := newCgroup(k, name, m.cg.lastID)
	c.Parent = parent
	c.effective = append([]uint64(nil), parent.effective...)
	c.timer.Fire = func(Time) { m.offlineCgroup(c) }
	m.addCgroup(c)
	for p := parent; p != nil; p = p.Parent {
		p.K.SetNrDescendants(p.K.NrDescendants() + 1)
	}
	for _, f := range m.hooked.cgroupLife {
		f(c, true)
	}
	for i := len(m.hooked.cgroupOnline) - 1; i >= 0; i-- {
		if e := m.hooked.cgroupOnline[i](c); e != 0 {
			m.destroyCgroup(c)
			return refuse(e, "refused by a scheduler")
		}
	}
	m.trace(TraceCgroupMkdir, nil, c, 0)
	return c, nil
}

// addCgroup makes c known.
func (m *Machine) addCgroup(c *Cgroup) {
	if n := len(m.cg.free); n > 0 {
		c.Index = m.cg.free[n-1]
		m.cg.free = m.cg.free[:n-1]
		m.cg.byIndex[c.Index] = c
	} else {
		c.Index = int32(len(m.cg.byIndex))
		m.cg.byIndex = append(m.cg.byIndex, c)
	}
	p := c.Parent
	c.prev = p.last
	if p.last != nil {
		p.last.next = c
	} else {
		p.first = c
	}
	p.last = c
}

// MkdirAll makes the cgroup at an absolute path and its parents, as far as they are missing.
func (m *Machine) MkdirAll(path string) (*Cgroup, error) {
	c := m.cg.root
	for _, name := range strings.Split(path, "/") {
		if name == "" {
			continue
		}
		ch := c.child(name)
		if ch == nil {
			var err error
			if ch, err = m.Mkdir(c, name); err != nil {
				return nil, err
			}
		}
		c = ch
	}
	return c, nil
}

// Rmdir removes c, which must have neither tasks nor children. It follows cgroup_rmdir: c can no longer be used, but it goes
// offline only after a grace period, and lives on while somebody holds it.
func (m *Machine) Rmdir(c *Cgroup) error {
	refuse := func(e Errno, why string) error { return &OpError{"rmdir " + c.Path(), e, why} }
	switch {
	case c.Parent == nil:
		return refuse(EBUSY, "the root")
	case !c.online:
		return refuse(ENOENT, "")
	case c.nrTasks > 0:
		return refuse(EBUSY, fmt.Sprintf("it has %d tasks", c.nrTasks))
	}
	for ch := c.first; ch != nil; ch = ch.next {
		if ch.online {
			return refuse(EBUSY, "it has children")
		}
	}
	m.destroyCgroup(c)
	m.trace(TraceCgroupRmdir, nil, c, 0)
	return nil
}

// destroyCgroup follows cgroup_destroy_locked.
func (m *Machine) destroyCgroup(c *Cgroup) {
	c.online = false
	c.K.Kill()
	for p := c.Parent; p != nil; p = p.Parent {
		p.K.SetNrDescendants(p.K.NrDescendants() - 1)
		p.K.SetNrDying(p.K.NrDying() + 1)
	}
	for _, f := range m.hooked.cgroupLife {
		f(c, false)
	}
	m.Arm(&c.timer, m.this, m.now.Add(graceTicks*m.tickPeriod))
}

// offlineCgroup is what comes after the grace period: css_killed_work_fn and css_release_work_fn.
func (m *Machine) offlineCgroup(c *Cgroup) {
	for _, f := range m.hooked.cgroupOffline {
		f(c)
	}
	c.released = true
	m.freeCgroup(c)
}

// freeCgroup gives c back when nothing holds it.
func (m *Machine) freeCgroup(c *Cgroup) {
	if !c.released || c.refs > 0 || c.first != nil {
		return
	}
	for p := c.Parent; p != nil; p = p.Parent {
		p.K.SetNrDying(p.K.NrDying() - 1)
	}
	p := c.Parent
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		p.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		p.last = c.prev
	}
	for _, f := range m.hooked.cgroupFree {
		f(c)
	}
	m.cg.byIndex[c.Index] = nil
	m.cg.free = append(m.cg.free, c.Index)
	for _, f := range m.onCgroupFree {
		f(c)
	}
	c.K.Free(m.mem)
	m.freeCgroup(p)
}

// HoldCgroup keeps c after its removal until ReleaseCgroup (cgroup_get).
func (m *Machine) HoldCgroup(c *Cgroup) { c.refs++ }

// ReleaseCgroup undoes one HoldCgroup (cgroup_put).
func (m *Machine) ReleaseCgroup(c *Cgroup) {
	if c.refs--; c.refs < 0 {
		panic("BUG: cgroup " + c.Path() + " released too often")
	}
	m.freeCgroup(c)
}

// OnCgroupFree makes f run when a struct cgroup is about to be given back.
func (m *Machine) OnCgroupFree(f func(c *Cgroup)) { m.onCgroupFree = append(m.onCgroupFree, f) }
