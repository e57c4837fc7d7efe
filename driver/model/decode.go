package model

import "encoding/json"

// A decoder of its own in each kind of object would have encoding/json scan the text of a member once for each level above
// it. So there are types without decoders, which are decoded in one go, down to the leaves: each has the fields of its
// kind, and above them, which is how encoding/json chooses between fields of one name, those that need a second look:
// pointers for what has a default, nil when it is missing or null, and children that are decoded in the same way.

// Decode decodes a load balancer with all that is in it, as json.Unmarshal does, in half of its time: that one reads a text
// twice before it hands it to a decoder.
func Decode(data []byte) (*LoadBalancer, error) {
	var text loadBalancerText
	if err := json.Unmarshal(data, &text); err != nil {
		return nil, err
	}
	return new(text.model()), nil
}

type (
	plainLoadBalancer  LoadBalancer
	plainListener      Listener
	plainPool          Pool
	plainMember        Member
	plainHealthMonitor HealthMonitor
	plainL7Policy      L7Policy
	plainL7Rule        L7Rule
)

type loadBalancerText struct {
	plainLoadBalancer

	AdminStateUp *bool          `json:"admin_state_up"`
	Listeners    []listenerText `json:"listeners"`
	Pools        []poolText     `json:"pools"`
}

func (t *loadBalancerText) model() LoadBalancer {
	lb := LoadBalancer(t.plainLoadBalancer)
	lb.AdminStateUp = or(t.AdminStateUp, true)
	lb.Listeners = models(t.Listeners, (*listenerText).model)
	lb.Pools = models(t.Pools, (*poolText).model)
	return lb
}

type listenerText struct {
	plainListener

	AdminStateUp         *bool          `json:"admin_state_up"`
	ConnectionLimit      *int           `json:"connection_limit"`
	TimeoutClientData    *int           `json:"timeout_client_data"`
	TimeoutMemberConnect *int           `json:"timeout_member_connect"`
	TimeoutMemberData    *int           `json:"timeout_member_data"`
	L7Policies           []l7PolicyText `json:"l7policies"`
}

func (t *listenerText) model() Listener {
	l := Listener(t.plainListener)
	l.AdminStateUp = or(t.AdminStateUp, true)
	l.ConnectionLimit = or(t.ConnectionLimit, UnlimitedConnections)
	l.TimeoutClientData = or(t.TimeoutClientData, DefaultTimeoutClientData)
	l.TimeoutMemberConnect = or(t.TimeoutMemberConnect, DefaultTimeoutMemberConnect)
	l.TimeoutMemberData = or(t.TimeoutMemberData, DefaultTimeoutMemberData)
	l.L7Policies = models(t.L7Policies, (*l7PolicyText).model)
	return l
}

type l7PolicyText struct {
	plainL7Policy

	AdminStateUp *bool        `json:"admin_state_up"`
	Rules        []l7RuleText `json:"rules"`
}

func (t *l7PolicyText) model() L7Policy {
	p := L7Policy(t.plainL7Policy)
	p.AdminStateUp = or(t.AdminStateUp, true)
	p.Rules = models(t.Rules, (*l7RuleText).model)
	return p
}

type l7RuleText struct {
	plainL7Rule

	AdminStateUp *bool `json:"admin_state_up"`
}

func (t *l7RuleText) model() L7Rule {
	r := L7Rule(t.plainL7Rule)
	r.AdminStateUp = or(t.AdminStateUp, true)
	return r
}

type poolText struct {
	plainPool

	AdminStateUp  *bool              `json:"admin_state_up"`
	Members       []memberText       `json:"members"`
	HealthMonitor *healthMonitorText `json:"healthmonitor"`
}

func (t *poolText) model() Pool {
	p := Pool(t.plainPool)
	p.AdminStateUp = or(t.AdminStateUp, true)
	p.Members = models(t.Members, (*memberText).model)
	if t.HealthMonitor != nil {
		p.HealthMonitor = new(t.HealthMonitor.model())
	}
	return p
}

type memberText struct {
	plainMember

	AdminStateUp *bool `json:"admin_state_up"`
	Weight       *int  `json:"weight"`
}

func (t *memberText) model() Member {
	m := Member(t.plainMember)
	m.AdminStateUp = or(t.AdminStateUp, true)
	m.Weight = or(t.Weight, DefaultMemberWeight)
	return m
}

type healthMonitorText struct {
	plainHealthMonitor

	AdminStateUp   *bool   `json:"admin_state_up"`
	MaxRetriesDown *int    `json:"max_retries_down"`
	HTTPMethod     *string `json:"http_method"`
	URLPath        *string `json:"url_path"`
	ExpectedCodes  *string `json:"expected_codes"`
}

func (t *healthMonitorText) model() HealthMonitor {
	h := HealthMonitor(t.plainHealthMonitor)
	h.AdminStateUp = or(t.AdminStateUp, true)
	h.MaxRetriesDown = or(t.MaxRetriesDown, 3)
	h.HTTPMethod = or(t.HTTPMethod, "GET")
	h.URLPath = or(t.URLPath, "/")
	h.ExpectedCodes = or(t.ExpectedCodes, "200")
	return h
}

// or returns what the text says, or Octavia's default.
func or[T any](said *T, otherwise T) T {
	if said == nil {
		return otherwise
	}
	return *said
}

// models keeps a list that is missing apart from one that is empty: they are encoded differently.
func models[Text, Model any](list []Text, model func(*Text) Model) []Model {
	if list == nil {
		return nil
	}
	all := make([]Model, len(list))
	for i := range list {
		all[i] = model(&list[i])
	}
	return all
}

// unmarshal is the decoder of each kind of object; into is changed only when the text is one.
func unmarshal[Text, Model any](data []byte, into *Model, model func(*Text) Model) error {
	var text Text
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*into = model(&text)
	return nil
}
