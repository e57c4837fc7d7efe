package translate

import (
	"fmt"
	"net/http"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	brotliv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/compressor/v3"
	gzipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	zstdv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/compressor/v3"
	compressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

// compressors are the HTTP filters that compress answers, one an algorithm; none without the flavor. The client's
// Accept-Encoding decides which of them works.
//
// An answer passes as it is when it has a Content-Encoding already, says no-transform, is a part of something (206), is of
// another type or too short. What could have been compressed has Vary: Accept-Encoding either way. A strong ETag becomes
// a weak one, as with HAProxy: the bytes are others.
func (t *translation) compressors() ([]*hcmv3.HttpFilter, error) {
	asked := t.flavor.Compression
	if asked == nil {
		return nil, nil
	}
	var filters []*hcmv3.HttpFilter
	for i, algorithm := range asked.Algorithms {
		library, err := compressorLibrary(algorithm)
		if err != nil {
			return nil, err
		}
		config, err := pack(&compressorv3.Compressor{
			CompressorLibrary:       library,
			ResponseDirectionConfig: compressAnswers(asked),
			// Where a client likes several alike the first wins. Without that one it is the first that the client names:
			// of several with choose_first Envoy would take the one that the client names last.
			ChooseFirst: i == 0,
		})
		if err != nil {
			return nil, err
		}
		filters = append(filters, &hcmv3.HttpFilter{
			Name: "octavia." + algorithm, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config},
		})
	}
	return filters, nil
}

func compressAnswers(asked *flavor.Compression) *compressorv3.Compressor_ResponseDirectionConfig {
	common := &compressorv3.Compressor_CommonDirectionConfig{MinContentLength: unlessZero(asked.MinLength)}
	for _, mediaType := range asked.ContentTypes {
		common.ContentTypeMatcher = append(common.ContentTypeMatcher, &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Exact{Exact: mediaType}, IgnoreCase: true,
		})
	}
	return &compressorv3.Compressor_ResponseDirectionConfig{
		CommonConfig:                common,
		WeakenEtagOnCompress:        true,
		UncompressibleResponseCodes: []uint32{http.StatusPartialContent},
	}
}

func compressorLibrary(algorithm string) (*corev3.TypedExtensionConfig, error) {
	libraries := map[string]validated{"gzip": &gzipv3.Gzip{}, "brotli": &brotliv3.Brotli{}, "zstd": &zstdv3.Zstd{}}
	library := libraries[algorithm]
	if library == nil {
		return nil, fmt.Errorf("no algorithm %.32q", algorithm)
	}
	config, err := pack(library)
	if err != nil {
		return nil, err
	}
	return &corev3.TypedExtensionConfig{Name: algorithm, TypedConfig: config}, nil
}
