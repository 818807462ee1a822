// Package class puts the scheduling classes of a machine together, as the kernel has them: deadline, real-time, fair,
// sched_ext, idle, with deadline servers for the fair class and sched_ext. (The stoppers' class is the machine's own.)
package class

import (
	"github.com/schedsim/schedsim/sched/class/dl"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sched/class/rt"
	"github.com/schedsim/schedsim/sim"
)

// Classes are the classes of one machine.
type Classes struct {
	DL   *dl.Class
	RT   *rt.Class
	Fair *fair.Class
	Ext  *ext.Kernel
	Idle *idle.Class
}

// New builds the classes for m, which is still being built: sim.Config.Classes is the place to call it.
func New(m *sim.Machine) *Classes {
	c := &Classes{DL: dl.New(m), Fair: fair.New(m), Ext: ext.New(m), Idle: idle.New(m)}
	c.RT = rt.New(m, c.DL.Queued)
	c.DL.AddServer(c.Fair, true)
	c.DL.AddServer(c.Ext, false)
	return c
}

// List returns the classes, highest priority first, as sim.Config.Classes wants them.
func (c *Classes) List() []sim.Class {
	return []sim.Class{c.DL, c.RT, c.Fair, c.Ext, c.Idle}
}
