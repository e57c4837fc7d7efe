package bootstrap

import (
	"fmt"
	"path/filepath"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	clientSecretName = "amphora-client"
	caSecretName     = "controller-ca"
)

// Secrets returns the files that the bootstrap names, content by path: two small SDS responses that point at the
// certificate files. Write them before Envoy starts. They hold paths and no key, and never change: Envoy watches
// certificates for rotation only when a secret of SDS names them.
func Secrets(options Options) (map[string][]byte, error) {
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("secrets of Envoy: %w", err)
	}
	watched := &corev3.WatchedDirectory{Path: filepath.Dir(options.CertFile)}
	client := &tlsv3.Secret{Name: clientSecretName, Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: file(options.CertFile),
			PrivateKey:       file(options.KeyFile),
			WatchedDirectory: watched,
		},
	}}
	authority := &tlsv3.Secret{Name: caSecretName, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa:        file(options.CAFile),
			WatchedDirectory: watched,
			MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
				SanType: tlsv3.SubjectAltNameMatcher_DNS,
				Matcher: &matcherv3.StringMatcher{
					MatchPattern: &matcherv3.StringMatcher_Exact{Exact: options.ServerName},
				},
			}},
		},
	}}
	files := map[string][]byte{}
	for path, secret := range map[string]*tlsv3.Secret{
		options.clientSecretFile(): client, options.caSecretFile(): authority,
	} {
		packed, err := pack(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", secret.GetName(), err)
		}
		// One secret a file: Envoy refuses an answer with more.
		if files[path], err = document(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{packed}}); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func file(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}

func secretSource(path string) *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{Path: path}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}
