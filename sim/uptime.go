package sim

import "fmt"

// The machine has been up for Config.Boot when its time begins, so that no clock that programs read shows 0, which many take for
// "never": their clocks, those of runqueues, and the times in kernel objects count from the boot. All else counts from the
// machine's beginning.

// initBoot checks and notes how long the machine has been up.
func (m *Machine) initBoot(boot Duration) error {
	if boot < 0 {
		return fmt.Errorf("machine: booted in %v, want 0 or more", boot)
	}
	m.boot = boot
	return nil
}

// Boot is how long the machine had been up at time 0.
func (m *Machine) Boot() Duration { return m.boot }

// Uptime is the time since the machine has booted (ktime_get).
func (m *Machine) Uptime() Time { return m.now.Add(m.boot) }

// Ticks is the number of tick periods since time 0.
func (m *Machine) Ticks() uint64 { return uint64(m.now) / uint64(m.tickPeriod) }

// Jiffies is the kernel's count of ticks, which begins at boot, five minutes before it overflows 32 bits (INITIAL_JIFFIES).
func (m *Machine) Jiffies() uint64 {
	return uint64(uint32(-300*m.HZ())) + uint64(m.Uptime())/uint64(m.tickPeriod)
}
