package translate

// Holds is holds, for the tests outside of the package.
var Holds = holds
