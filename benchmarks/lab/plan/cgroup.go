package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// cgroup has a cgroup made before the run.
func (c *compiler) cgroup(path string, s *rtapp.Settings) error {
	c.mkdirs(path)
	files, err := settings(path, s)
	c.out.Files = append(c.out.Files, files...)
	return err
}

// mkdirs notes a path and its parents.
func (c *compiler) mkdirs(path string) {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		if dir := Root + path[:i]; !slices.Contains(c.out.Cgroups, dir) {
			c.out.Cgroups = append(c.out.Cgroups, dir)
		}
	}
}

// settings are the files of a cgroup, in the simulator's order.
func settings(path string, s *rtapp.Settings) ([]File, error) {
	var out []File
	put := func(file, format string, args ...any) {
		out = append(out, File{Root + path + "/" + file, fmt.Sprintf(format, args...)})
	}
	if s.Idle != nil {
		put("cpu.idle", "%d", bit(*s.Idle))
	}
	if s.Weight != nil {
		put("cpu.weight", "%d", *s.Weight)
	}
	if s.Nice != nil {
		put("cpu.weight.nice", "%d", *s.Nice)
	}
	if s.Max != nil {
		text := "max"
		if s.Max.Quota > 0 {
			text = strconv.FormatInt(int64(s.Max.Quota/sim.Microsecond), 10)
		}
		if s.Max.Period > 0 {
			text += " " + strconv.FormatInt(int64(s.Max.Period/sim.Microsecond), 10)
		}
		put("cpu.max", "%s", text)
	}
	if s.Burst != nil {
		put("cpu.max.burst", "%d", *s.Burst/sim.Microsecond)
	}
	switch {
	case s.AllCPUs:
		put("cpuset.cpus", "") // who writes files makes it an empty line
	case s.CPUs != nil:
		var list []string
		for _, n := range s.CPUs.CPUs {
			list = append(list, strconv.Itoa(n))
		}
		put("cpuset.cpus", "%s", strings.Join(list, ","))
	}
	return out, nil
}
