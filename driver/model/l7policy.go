package model

// Actions of an L7 policy (octavia_lib/common/constants.py).
const (
	L7ActionReject         = "REJECT"
	L7ActionRedirectToURL  = "REDIRECT_TO_URL"
	L7ActionRedirectPrefix = "REDIRECT_PREFIX"
	L7ActionRedirectToPool = "REDIRECT_TO_POOL"
)

// Types of an L7 rule: what of a request it compares.
const (
	L7TypeHostName        = "HOST_NAME"
	L7TypePath            = "PATH"
	L7TypeFileType        = "FILE_TYPE"
	L7TypeHeader          = "HEADER"
	L7TypeCookie          = "COOKIE"
	L7TypeSSLConnHasCert  = "SSL_CONN_HAS_CERT"
	L7TypeSSLVerifyResult = "SSL_VERIFY_RESULT"
	L7TypeSSLDNField      = "SSL_DN_FIELD"
)

// Ways in which an L7 rule compares.
const (
	L7CompareRegex      = "REGEX"
	L7CompareStartsWith = "STARTS_WITH"
	L7CompareEndsWith   = "ENDS_WITH"
	L7CompareContains   = "CONTAINS"
	L7CompareEqualTo    = "EQUAL_TO"
)

// DefaultRedirectHTTPCode is the status of a redirect whose policy names none.
const DefaultRedirectHTTPCode = 302

// L7Policy is what to do with the requests of a listener that all of its rules match.
// Source: octavia_lib.api.drivers.data_models.L7Policy.
type L7Policy struct {
	ID           string `json:"l7policy_id"`
	ListenerID   string `json:"listener_id"`
	Name         string `json:"name"`
	Description  string `json:"description"`
	ProjectID    string `json:"project_id"`
	AdminStateUp bool   `json:"admin_state_up"`
	Action       string `json:"action"`
	// Position orders the policies of a listener, from 1. Octavia renumbers siblings without a call.
	Position         int      `json:"position"`
	RedirectPoolID   string   `json:"redirect_pool_id"`
	RedirectURL      string   `json:"redirect_url"`
	RedirectPrefix   string   `json:"redirect_prefix"`
	RedirectHTTPCode int      `json:"redirect_http_code"`
	Rules            []L7Rule `json:"rules"`
}

// UnmarshalJSON decodes a policy; what is missing or null takes Octavia's default.
func (p *L7Policy) UnmarshalJSON(data []byte) error {
	return unmarshal(data, p, (*l7PolicyText).model)
}

// L7Rule is one condition of an L7 policy.
// Source: octavia_lib.api.drivers.data_models.L7Rule.
type L7Rule struct {
	ID           string `json:"l7rule_id"`
	L7PolicyID   string `json:"l7policy_id"`
	ProjectID    string `json:"project_id"`
	AdminStateUp bool   `json:"admin_state_up"`
	Type         string `json:"type"`
	CompareType  string `json:"compare_type"`
	Invert       bool   `json:"invert"`
	Key          string `json:"key"`
	Value        string `json:"value"`
}

// UnmarshalJSON decodes a rule; what is missing or null takes Octavia's default.
func (r *L7Rule) UnmarshalJSON(data []byte) error {
	return unmarshal(data, r, (*l7RuleText).model)
}
