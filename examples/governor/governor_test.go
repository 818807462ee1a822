package governor_test

import (
	"os"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/examples/governor"
)

type host struct{}

func (host) CPU() int32                             { return 0 }
func (host) NrCPUs() int32                          { return 1 }
func (host) NowNS() uint64                          { return 0 }
func (host) CurrentTask() uint64                    { return 0 }
func (host) CurrentPID() (a, b int32)               { return 1, 1 }
func (host) Rand32() uint32                         { return 0 }
func (host) Printk(string)                          {}
func (host) ArmTimer(uint64, int32, uint64, func()) {}
func (host) DisarmTimer(uint64) bool                { return false }

// Two drivers offer the same function; a governor gets that of the one that is loaded when the governor is.
func TestDrivers(t *testing.T) {
	object, err := os.ReadFile("testdata/governor.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	c, err := governor.New(host{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	coarse := governor.Driver{Name: "coarse", Round: func(khz uint32) uint32 { return khz / 1_000_000 * 1_000_000 }}
	fine := governor.Driver{Name: "fine", Round: func(khz uint32) uint32 { return khz / 100_000 * 100_000 }}
	ask := func(driver string, want uint32) {
		t.Helper()
		unload, err := c.Load("governor.bpf.o", object, "hardware")
		if err != nil {
			t.Fatalf("with driver %s: %v", driver, err)
		}
		defer unload()
		if got, err := c.Target(0, 0, 1_234_567); got != want || err != nil {
			t.Errorf("with driver %s: %d kHz, %v; want %d", driver, got, err, want)
		}
		if driver == "" {
			return
		}
		if err := c.Remove(driver); err == nil || !strings.Contains(err.Error(), "in use by 1 program") {
			t.Errorf("removing driver %s while it is in use: %v", driver, err)
		}
	}
	ask("", 1_234_567)
	for _, d := range []governor.Driver{coarse, fine} {
		if err := c.Insert(d); err != nil {
			t.Fatal(err)
		}
		ask(d.Name, d.Round(1_234_567))
		if err := c.Insert(d); err == nil || !strings.Contains(err.Error(), "is loaded") {
			t.Errorf("driver %s twice: %v", d.Name, err)
		}
		if err := c.Remove(d.Name); err != nil {
			t.Fatal(err)
		}
	}
	// With both, the first that came counts.
	for _, d := range []governor.Driver{fine, coarse} {
		if err := c.Insert(d); err != nil {
			t.Fatal(err)
		}
	}
	ask("fine", 1_200_000)
	if err := c.Remove("fine"); err != nil {
		t.Fatal(err)
	}
	ask("coarse", 1_000_000)
	if err := c.Remove("fine"); err == nil || !strings.Contains(err.Error(), "is not loaded") {
		t.Errorf("removing a driver that is not there: %v", err)
	}
}

func TestGovernor(t *testing.T) {
	object, err := os.ReadFile("testdata/governor.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	c, err := governor.New(host{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	ask := func(util, khz, want uint32) {
		t.Helper()
		if got, err := c.Target(0, util, khz); got != want || err != nil {
			t.Errorf("%q: %d kHz for %d at %d, %v; want %d", c.Name(), got, util, khz, err, want)
		}
	}
	ask(512, 1000, 1000) // there is no governor

	unload, err := c.Load("governor.bpf.o", object, "prop")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(0); err != nil || c.Name() != "prop" {
		t.Error(c.Name(), err)
	}
	ask(512, 1000, 1_875_000)
	ask(1024, 1000, 3_000_000) // its maximum
	if _, err := c.Load("governor.bpf.o", object, "steps"); err == nil || !strings.Contains(err.Error(), "prop is registered") {
		t.Errorf("second governor: %v", err)
	}
	unload()
	ask(512, 1000, 1000)

	if unload, err = c.Load("governor.bpf.o", object, "steps"); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(0); err != nil { // which it does not have
		t.Error(err)
	}
	ask(900, 1_000_000, 1_200_000)
	ask(900, 1_900_000, 2_000_000)
	ask(100, 1_000_000, 800_000)
	ask(500, 1_000_000, 1_000_000)
	unload()

	if _, err := c.Load("governor.bpf.o", object, "nothing"); err == nil || !strings.Contains(err.Error(), "there is no target") {
		t.Errorf("governor without a target: %v", err)
	}
	if _, err := c.Load("governor.bpf.o", object, "missing"); err == nil {
		t.Error("a table that is not there was registered")
	}
}
