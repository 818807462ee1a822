package attach

import "slices"

// HelperNames are all names of helpers in this package.
func HelperNames() []string {
	return slices.Concat(common[:], traceHelpers, eventHelpers, perfHelpers, btfHelpers, argHelpers, iterHelpers, syscallHelpers)
}
