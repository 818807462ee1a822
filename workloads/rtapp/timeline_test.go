package rtapp

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

// timelineFile is a file with two tasks and the given cgroups and timeline.
func timelineFile(cgroups, timeline string) string {
	return `{"tasks":{"web":{"instance":3,"taskgroup":"/web/front","run":1},"db":{"run":1}},"global":{"schedsim":{"cgroups":{` + cgroups + `},"timeline":[` + timeline + `]}}}`
}

func TestTimeline(t *testing.T) {
	f, err := Parse("f.json", []byte(timelineFile(
		`"/a":{"weight":200,"idle":false,"max":"20ms/50ms","burst":"5ms","cpus":"0-2,5"},"/b/c":{"nice":-3,"max":"max","cpus":""}`,
		`{"at":"1.5s","do":"move","task":"web-1","cgroup":"/a"},
		 {"at":"10ms","every":"20ms","times":3,"do":"offline","cpus":1},
		 {"at":"0s","every":"1s","do":"set","cgroup":"/web","weight":10},
		 {"at":"2s","do":"policy","task":"db","policy":"SCHED_FIFO","priority":7},
		 {"at":"2s","do":"spawn","task":"web","value":4},
		 {"at":"2s","do":"move","task":"db","cgroup":"/"},
		 {"at":"3s","do":"attach"},
		 {"at":"3s","do":"replace","scheduler":"fifo","cgroup":"/a"},
		 {"at":"3s","do":"detach","cgroup":"/a"},
		 {"at":"3s","do":"ext_server","cpus":"0-1","runtime":"0s"}`)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := f.Global
	if len(f.Warnings) != 0 || len(g.Cgroups) != 2 || len(g.Timeline) != 10 || f.Tasks[0].Cgroup != "/web/front" {
		t.Fatalf("%d cgroups, %d actions, warnings %v", len(g.Cgroups), len(g.Timeline), f.Warnings)
	}
	a := g.Cgroups[0]
	if *a.Weight != 200 || *a.Idle || *a.Max != (Bandwidth{20 * sim.Millisecond, 50 * sim.Millisecond}) || *a.Burst != 5*sim.Millisecond ||
		!cmp.Equal(a.CPUs.CPUs, []int{0, 1, 2, 5}) {
		t.Errorf("/a: %+v", a.Settings)
	}
	if c := g.Cgroups[1]; *c.Nice != -3 || c.Max.Quota >= 0 || !c.AllCPUs || c.Weight != nil {
		t.Errorf("/b/c: %+v", c.Settings)
	}
	if x := g.Timeline[0]; x.Do != DoMove || x.Time != 1500*sim.Millisecond || x.Task != "web-1" || x.Cgroup != "/a" || x.Times != 1 {
		t.Errorf("move: %+v", x)
	}
	if x := g.Timeline[1]; x.Every != 20*sim.Millisecond || x.Times != 3 || !cmp.Equal(x.CPUs.CPUs, []int{1}) {
		t.Errorf("offline: %+v", x)
	}
	if x := g.Timeline[3]; x.Sched.Policy != PolicyFIFO || x.Sched.Priority != 7 {
		t.Errorf("policy: %+v", x)
	}
	if x := g.Timeline[4]; x.Do != DoSpawn || x.Value != 4 {
		t.Errorf("spawn: %+v", x)
	}
	if x := g.Timeline[6]; x.Do != DoAttach || x.Scheduler != "" || x.Cgroup != "" {
		t.Errorf("attach: %+v", x)
	}
	if x := g.Timeline[7]; x.Do != DoReplace || x.Scheduler != "fifo" || x.Cgroup != "/a" || x.SchedulerPos.Line != 8 {
		t.Errorf("replace: %+v", x)
	}
	if x := g.Timeline[9]; *x.Runtime != 0 || x.Period != nil || !cmp.Equal(x.CPUs.CPUs, []int{0, 1}) {
		t.Errorf("server: %+v", x)
	}
}

func TestTimelineErrors(t *testing.T) {
	for _, tc := range []struct{ name, cgroups, timeline, want string }{
		{"no do", ``, `{"at":"1s"}`, `found no key "do", expected it to be one of mkdir, rmdir, set,`},
		{"no such action", ``, `{"at":"1s","do":"mvoe"}`, `do: found "mvoe", expected one of`},
		{"nearest action", ``, `{"at":"1s","do":"mvoe"}`, `did you mean "move"?`},
		{"no time", ``, `{"do":"kill","task":"db"}`, `kill: found no key "at", which it needs`},
		{"no unit", ``, `{"at":5,"do":"kill","task":"db"}`, `at: found the number 5, expected a duration with a unit`},
		{"missing argument", ``, `{"at":"1s","do":"move","task":"db"}`, `move: found no key "cgroup", which it needs`},
		{"argument of another action", ``, `{"at":"1s","do":"kill","task":"db","value":3}`, `unknown key "value" in kill, expected at, do, every, times, task`},
		{"mistyped argument", ``, `{"at":"1s","do":"kill","task":"db","tims":3}`, `did you mean "times"?`},
		{"times alone", ``, `{"at":"1s","times":3,"do":"kill","task":"db"}`, `times: found without "every"`},
		{"every nothing", ``, `{"at":"1s","every":"0s","do":"kill","task":"db"}`, `every: found 0s, expected more than 0`},
		{"no such task", ``, `{"at":"1s","do":"kill","task":"wbe"}`, `kill: found no task "wbe"; did you mean "web"?`},
		{"instance of no task", ``, `{"at":"1s","do":"kill","task":"wb-1"}`, `kill: found no task "wb-1"`},
		{"spawn of an instance", ``, `{"at":"1s","do":"spawn","task":"web-1"}`, `spawn: found no task "web-1"`},
		{"no such cgroup", ``, `{"at":"1s","do":"rmdir","cgroup":"/web/frnt"}`, `rmdir: found no cgroup "/web/frnt", which something should make; did you mean "/web/front"?`},
		{"not a path", ``, `{"at":"1s","do":"mkdir","cgroup":"web"}`, `cgroup: found "web", expected a path below the root`},
		{"the root", ``, `{"at":"1s","do":"rmdir","cgroup":"/"}`, `cgroup: found "/", expected a path below the root`},
		{"weight", `"/a":{"weight":0}`, ``, `weight: found 0, expected 1 to 10000`},
		{"nice of a cgroup", `"/a":{"nice":20}`, ``, `nice: found 20, expected -20 to 19`},
		{"idle", `"/a":{"idle":1}`, ``, `idle: found the number 1, expected true or false`},
		{"max", `"/a":{"max":"50"}`, ``, `max: found the string "50", expected a quota and a period such as "50ms/100ms", or "max"`},
		{"max without a period", `"/a":{"max":"50ms/"}`, ``, `max: found the string "50ms/", expected`},
		{"file", `"/a":{"wieght":1}`, ``, `unknown key "wieght" in "schedsim", expected weight, nice, idle, max, burst, cpus; did you mean "weight"?`},
		{"cpus", `"/a":{"cpus":"0-x"}`, ``, `cpus: found the string "0-x", expected CPU numbers such as [0, 1] or "0-3,6"`},
		{"cpus backwards", `"/a":{"cpus":"3-1"}`, ``, `cpus: found the string "3-1"`},
		{"nice", ``, `{"at":"1s","do":"nice","task":"db","value":20}`, `value: found 20, expected a nice value from -20 to 19`},
		{"priority", ``, `{"at":"1s","do":"policy","task":"db","policy":"SCHED_RR","priority":0}`, `priority: found 0, expected a real-time priority from 1 to 99`},
		{"speed", ``, `{"at":"1s","do":"speed","cpus":[0],"value":0}`, `value: found 0, expected percent of the full speed from 1 to 100`},
		{"scheduler", ``, `{"at":"1s","do":"attach","scheduler":""}`, `scheduler: found the string "", expected the name of a built-in one or the path of an object`},
		{"scheduler as a number", ``, `{"at":"1s","do":"attach","scheduler":1}`, `scheduler: found the number 1`},
		{"sub-scheduler", ``, `{"at":"1s","do":"attach","cgroup":"/web"}`, `attach: found no key "scheduler", which a sub-scheduler needs`},
		{"cgroup of a sub-scheduler", ``, `{"at":"1s","do":"replace","scheduler":"x","cgroup":"/wbe"}`, `replace: found no cgroup "/wbe"`},
		{"root of a sub-scheduler", ``, `{"at":"1s","do":"detach","cgroup":"/"}`, `cgroup: found "/", expected a path below the root`},
		{"scheduler to detach", ``, `{"at":"1s","do":"detach","scheduler":"fifo"}`, `unknown key "scheduler" in detach, expected at, do, every, times, cgroup`},
		{"server without anything", ``, `{"at":"1s","do":"ext_server","cpus":0}`, `ext_server: found neither "runtime" nor "period"`},
		{"server without CPUs", ``, `{"at":"1s","do":"fair_server","runtime":"1ms"}`, `fair_server: found no key "cpus"`},
		{"period of a server", ``, `{"at":"1s","do":"fair_server","cpus":0,"period":"50us"}`, `period: found 50µs, expected 100µs to 4.194304s`},
		{"long period of a server", ``, `{"at":"1s","do":"fair_server","cpus":0,"period":"5s"}`, `period: found 5s, expected 100µs to 4.194304s`},
		{"runtime of a server", ``, `{"at":"1s","do":"ext_server","cpus":0,"runtime":"2ms","period":"1ms"}`, `runtime: found 2ms, expected at most the period of 1ms`},
		{"unit of a runtime", ``, `{"at":"1s","do":"ext_server","cpus":0,"runtime":20}`, `runtime: found the number 20, expected a duration with a unit`},
		{"not an object", ``, `7`, `entry of the timeline: found the number 7, expected an object`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("f.json", []byte(timelineFile(tc.cgroups, tc.timeline)), Options{})
			var list Errors
			if !errors.As(err, &list) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got  %v\nwant %s", err, tc.want)
			}
			if len(list) != 1 || list[0].Pos.Line != 1 || list[0].Pos.Col < 2 {
				t.Errorf("%d errors: %v", len(list), err)
			}
		})
	}
}
