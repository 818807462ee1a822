package dl

import "github.com/schedsim/schedsim/sim"

// Parameters of the servers (sched_init_dl_servers), and the runtime for which a server's timer is worth moving
// (dl_server_min_res).
const (
	ServerRuntime = 50 * sim.Millisecond
	ServerPeriod  = sim.Second
	serverMinRes  = sim.Millisecond
)

// Server is the reservation of a class on a CPU (struct sched_dl_entity with dl_server). Its states are those that the
// kernel draws above dl_server_start: off; waiting for zero laxity, while what its class runs in the background is charged
// to it; running, when its class is picked before real-time tasks; waiting for replenishment.
type Server struct {
	entity
	class    sim.Class
	active   bool // dl_server_active
	attached bool // dl_bw_attached
}

// Active tells whether the server watches over its class.
func (s *Server) Active() bool { return s.active }

// Attached tells whether bandwidth is reserved for the server.
func (s *Server) Attached() bool { return s.attached }

// Running tells whether the server has stepped in: its class is picked before real-time tasks until the runtime is used up.
func (s *Server) Running() bool { return s.on }

// AddServer gives class a server on every CPU, with bandwidth unless it is to be attached later (SCHED_EXT's is when a
// scheduler is enabled). It is called while the machine is built.
func (c *Class) AddServer(class sim.Class, attached bool) {
	for i := range c.rqs {
		q := &c.rqs[i]
		s := &Server{class: class}
		s.srv, s.q, s.deferred = s, q, true
		s.setParam(sim.Deadline{Runtime: ServerRuntime, Deadline: ServerPeriod, Period: ServerPeriod})
		s.newPeriod(0)
		s.timer.Fire = func(sim.Time) { c.serverTimer(s) }
		if attached {
			s.attached = true
			c.totalBW += s.bw
		}
		q.servers = append(q.servers, s)
	}
}

// Server returns the server of class on cpu, nil if it has none.
func (c *Class) Server(cpu sim.CPU, class sim.Class) *Server {
	for _, s := range c.rqs[cpu].servers {
		if s.class == class {
			return s
		}
	}
	return nil
}

func (c *Class) servers() sim.Servers {
	return sim.Servers{
		Start: func(cpu sim.CPU, class sim.Class) {
			if s := c.Server(cpu, class); s != nil {
				c.serverStart(s)
			}
		},
		Update: func(cpu sim.CPU, class sim.Class, ran sim.Duration) {
			for _, s := range c.rqs[cpu].servers {
				if s.active && s.class == class {
					c.charge(&s.entity, ran)
				}
			}
		},
		UpdateIdle: func(cpu sim.CPU, ran sim.Duration) {
			for _, s := range c.rqs[cpu].servers {
				if s.active {
					c.charge(&s.entity, ran)
				}
			}
		},
		Attach: func(cpu sim.CPU, class sim.Class) bool {
			s := c.Server(cpu, class)
			return s == nil || c.attach(s)
		},
		Detach: func(cpu sim.CPU, class sim.Class) {
			if s := c.Server(cpu, class); s != nil {
				c.detach(s)
			}
		},
		SetParams: func(cpu sim.CPU, class sim.Class, runtime, period sim.Duration) sim.Errno {
			s := c.Server(cpu, class)
			if s == nil {
				return sim.ENOENT
			}
			return c.applyParams(s, runtime, period)
		},
		Params: func(cpu sim.CPU, class sim.Class) (runtime, period sim.Duration, ok bool) {
			s := c.Server(cpu, class)
			if s == nil {
				return 0, 0, false
			}
			return s.par.Runtime, s.par.Period, true
		},
	}
}

// applyParams follows dl_server_apply_params, called as sched_server_write_common does.
func (c *Class) applyParams(s *Server, runtime, period sim.Duration) sim.Errno {
	old := int64(0)
	if s.attached {
		old = s.bw
	}
	c.serverStop(s)
	defer c.serverStart(s)
	if now := toRatio(period, runtime); c.totalBW-old+now > c.capacity() {
		return sim.EBUSY
	}
	s.setParam(sim.Deadline{Runtime: runtime, Deadline: period, Period: period})
	if s.attached {
		c.totalBW += s.bw - old
	}
	s.runtime, s.deadline = 0, longAgo
	return 0
}

// serverStart follows dl_server_start.
func (c *Class) serverStart(s *Server) {
	s.deferIdle = false
	if s.active || !s.attached || s.par.Runtime == 0 {
		return
	}
	c.m.UpdateCurr(s.q.cpu)
	s.active = true
	c.enqueueEntity(&s.entity, sim.EnqWakeup)
	if s.on {
		c.preemptCurr(&s.entity)
	}
}

// serverStop follows dl_server_stop.
func (c *Class) serverStop(s *Server) {
	if !s.active {
		return
	}
	c.dequeueEntity(&s.entity)
	c.m.Cancel(&s.timer)
	s.deferArmed, s.throttled, s.deferIdle, s.active = false, false, false, false
}

// serverTimer follows dl_server_timer.
func (c *Class) serverTimer(s *Server) {
	if !s.throttled {
		return
	}
	c.m.UpdateCurr(s.q.cpu)
	if s.timer.Armed() {
		return // charging the current task began a new period
	}
	if s.deferIdle {
		c.serverStop(s)
		return
	}
	if s.deferArmed {
		// What ran in the background moves zero laxity on.
		now := c.clock(s.q)
		if now < s.deadline.Add(-s.runtime-serverMinRes) {
			c.m.Arm(&s.timer, s.q.cpu, c.m.Now().Add(s.deadline.Sub(now)-s.runtime))
			return
		}
		s.deferRunning = true
	}
	c.enqueueEntity(&s.entity, sim.EnqReplenish)
	c.preemptCurr(&s.entity)
	c.pushTasks(s.q)
}

// attach follows dl_server_attach_bw.
func (c *Class) attach(s *Server) bool {
	if s.attached {
		return true
	}
	if c.totalBW+s.bw > c.capacity() {
		return false
	}
	c.totalBW += s.bw
	s.attached = true
	c.serverStart(s)
	return true
}

// detach follows dl_server_detach_bw.
func (c *Class) detach(s *Server) {
	if !s.attached {
		return
	}
	c.serverStop(s)
	c.totalBW -= s.bw
	s.attached = false
}
