package main

import (
	"errors"
	"os"
	"strings"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/machines"
	"github.com/schedsim/schedsim/sim/topo"
)

// parseTopo reads the value of --topo: the short form, a file, or this host.
func parseTopo(s string) (*topo.Topology, error) {
	switch {
	case s == "host":
		return topo.Host(os.DirFS("/sys"))
	case !strings.HasSuffix(s, ".json"):
		return topo.Parse(s)
	}
	f, err := os.Open(s)
	if err != nil {
		return nil, err
	}
	data, err := readAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return topo.ParseJSON(s, data)
}

// setMachine sets what --machine, --costs and --cost say. The topology is there already.
func (f *simFlags) setMachine(o *runner.Options) error {
	name := f.machine
	switch given := func(flag string) bool { return f.given != nil && f.given(flag) }; {
	case given("machine") && given("costs"):
		return usage("--machine and --costs exclude each other")
	case f.costs == "off":
		name = "off"
	case f.costs != "on":
		return usage("--costs %q: expected on or off", f.costs)
	case name == "":
		name = machines.Default
	}
	p, err := machines.Get(name)
	if err != nil {
		return usage("--machine %w", err)
	}
	m := p.Machine
	for _, list := range f.cost {
		if err := m.Set(list); err != nil {
			return usage("--cost %w", err)
		}
	}
	o.Costs, o.HZ, o.ClockSkew = m.Costs, m.HZ, m.Skews(len(o.Topo.CPUs))
	if m.Name != machines.Default && m.Name != "off" {
		o.Machine = m.Name
	}
	return nil
}
