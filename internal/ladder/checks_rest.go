package ladder

func placeChecks() []Check   { return nil }
func latencyChecks() []Check { return nil }
func duty() []Check          { return nil }
