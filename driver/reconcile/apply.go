package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// outcome is what came of a tree on its amphorae.
type outcome struct {
	// rejected are the objects that could not be served, each with its reason; notes say what of the others has no effect.
	rejected map[model.Ref]string
	notes    []translate.Note
	amphorae []model.Amphora
}

// bringAbout makes the amphorae serve the tree.
func (r *Reconciler) bringAbout(
	ctx context.Context, tree *model.LoadBalancer, rebuild bool,
) (*outcome, error) {
	if rebuild {
		if err := r.deleteAmphorae(ctx, tree.ID); err != nil {
			return nil, err
		}
	}
	amphorae, err := r.Amphorae.Ensure(ctx, tree)
	if err != nil {
		return nil, fmt.Errorf("make the amphora ready: %w", err)
	}
	if len(amphorae) == 0 {
		return nil, errors.New("the load balancer has no amphora")
	}
	resources, rejected := r.translate(tree, r.translator.LoadBalancer)
	ctx, stay := r.whileHere(ctx, tree.ID)
	defer stay()
	for _, amphora := range amphorae {
		result, err := r.Publisher.Publish(ctx, amphora.ID, resources)
		if err != nil {
			return nil, fmt.Errorf("publish to amphora %s: %w", amphora.ID, err)
		}
		for key, reason := range result.Rejected {
			owner, ok := resources.Owners[key]
			if !ok {
				owner = model.Ref{Kind: model.KindLoadBalancer, ID: tree.ID}
			}
			rejected[owner] = "Envoy refused it: " + reason
		}
	}
	return &outcome{rejected: rejected, notes: resources.Notes, amphorae: amphorae}, nil
}

// translate returns what can be served and the reasons for what cannot.
func (r *Reconciler) translate(
	tree *model.LoadBalancer, translator func(*model.LoadBalancer) (*translate.Resources, error),
) (*translate.Resources, map[model.Ref]string) {
	rejected := map[model.Ref]string{}
	if r.Mutate != nil {
		translator = translate.LoadBalancer // what is spoiled must not be what others are given, too
	}
	resources, err := translator(tree)
	for _, problem := range translate.Problems(err) {
		reason := problem.Reason // the owner's name comes before it, see reasons
		if problem.Field != "" {
			reason = problem.Field + ": " + reason
		}
		rejected[problem.Owner] = reason
	}
	if r.Mutate != nil {
		r.Mutate(tree, resources)
	}
	return resources, rejected
}

// reasons joins the reasons of refused objects, in a stable order.
func reasons(rejected map[model.Ref]string) string {
	var all []string
	for ref, reason := range rejected {
		all = append(all, subject(ref)+reason)
	}
	sort.Strings(all)
	return strings.Join(all, "; ")
}

// refusedIn tells the objects that the outcome of reasons names: those that Octavia was told are in ERROR.
func refusedIn(text string) func(model.Ref) bool {
	return func(ref model.Ref) bool { return text != "" && strings.Contains(text, subject(ref)) }
}

func subject(ref model.Ref) string { return fmt.Sprintf("%s %s: ", ref.Kind, ref.ID) }
