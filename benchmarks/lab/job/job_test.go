package job

import (
	"testing"
)

func TestParse(t *testing.T) {
	j, err := Parse([]byte(`{"steps": [{"do": "dmesg"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if j.CPUs != 1 || j.Mode != "icount" || j.Seed != 1 || *j.Shift != 1 || j.QuantumUS != 20 || j.Kernel != "7.2" {
		t.Errorf("defaults: %+v", j)
	}
	if j, err = Parse([]byte(`{"shift": 0, "quantum_us": -1, "steps": [{"do": "dmesg"}]}`)); err != nil || *j.Shift != 0 || j.QuantumUS != -1 {
		t.Errorf("what was given: %+v, %v", j, err)
	}
	for _, tc := range []struct{ name, text, want string }{
		{"unknown key", `{"cpu": 1}`, `json: unknown field "cpu"`},
		{"no steps", `{}`, "steps: none"},
		{"mode", `{"mode": "kvm", "steps": [{"do": "dmesg"}]}`, `mode: "kvm", expected icount or mttcg`},
		{"CPUs", `{"cpus": 65, "steps": [{"do": "dmesg"}]}`, "cpus: 65, expected 1 to 64"},
		{"shift", `{"shift": 11, "steps": [{"do": "dmesg"}]}`, "shift: 11, expected 0 to 10"},
		{"step", `{"steps": [{"do": "dmesg"}, {"do": "sing"}]}`, `step 2: do: "sing", expected play, verify, exec or dmesg`},
		{"play", `{"steps": [{"do": "play", "workloads": ["x"]}]}`, "step 1: play: expected workloads and schedulers"},
		{"verify", `{"steps": [{"do": "verify"}]}`, "step 1: verify: expected objects"},
		{"exec", `{"steps": [{"do": "exec"}]}`, "step 1: exec: expected argv"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Parse([]byte(tc.text)); err == nil || err.Error() != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}
