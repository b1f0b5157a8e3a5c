<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.16" styleCategories="AllStyleCategories" hasScaleBasedVisibilityFlag="0" minScale="1e+08" maxScale="0">
  <pipe>
    <provider>
      <resampling enabled="true" zoomedInResamplingMethod="nearestNeighbour" zoomedOutResamplingMethod="average" maxOversampling="2" />
    </provider>
    <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" nodataColor="" classificationMin="0.00025983958039432764" classificationMax="0.0044157938100397552">
      <rasterTransparency />
      <minMaxOrigin>
        <limits>None</limits>
        <extent>WholeRaster</extent>
        <statAccuracy>Exact</statAccuracy>
        <cumulativeCutLower>0.02</cumulativeCutLower>
        <cumulativeCutUpper>0.98</cumulativeCutUpper>
        <stdDevFactor>2</stdDevFactor>
      </minMaxOrigin>
      <rastershader>
        <colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0" minimumValue="0.00025983958039432764" maximumValue="0.0044157938100397552" labelPrecision="4">
          <colorramp type="gradient" name="[source]">
            <Option type="Map">
              <Option type="QString" name="color1" value="0,0,4,255" />
              <Option type="QString" name="color2" value="252,253,191,255" />
              <Option type="QString" name="discrete" value="0" />
              <Option type="QString" name="rampType" value="gradient" />
              <Option type="QString" name="stops" value="0.0909091;18,13,49,255:0.181818;51,16,103,255:0.272727;89,21,126,255:0.363636;126,36,130,255:0.454545;163,48,126,255:0.545455;200,62,115,255:0.636364;233,84,98,255:0.727273;250,125,94,255:0.818182;254,169,115,255:0.909091;254,211,149,255" />
            </Option>
            <prop k="color1" v="0,0,4,255" />
            <prop k="color2" v="252,253,191,255" />
            <prop k="discrete" v="0" />
            <prop k="rampType" v="gradient" />
            <prop k="stops" v="0.0909091;18,13,49,255:0.181818;51,16,103,255:0.272727;89,21,126,255:0.363636;126,36,130,255:0.454545;163,48,126,255:0.545455;200,62,115,255:0.636364;233,84,98,255:0.727273;250,125,94,255:0.818182;254,169,115,255:0.909091;254,211,149,255" />
          </colorramp>
          <item value="0.00025983958039432764" color="#000004" alpha="255" label="0.00026" />
          <item value="0.00063765360127118471" color="#120d31" alpha="255" label="0.000638" />
          <item value="0.0010154676221480418" color="#331067" alpha="255" label="0.00102" />
          <item value="0.0013932816430248989" color="#59157e" alpha="255" label="0.00139" />
          <item value="0.0017710956639017559" color="#7e2482" alpha="255" label="0.00177" />
          <item value="0.0021489096847786132" color="#a3307e" alpha="255" label="0.00215" />
          <item value="0.0025267237056554701" color="#c83e73" alpha="255" label="0.00253" />
          <item value="0.0029045377265323269" color="#e95462" alpha="255" label="0.0029" />
          <item value="0.0032823517474091842" color="#fa7d5e" alpha="255" label="0.00328" />
          <item value="0.0036601657682860415" color="#fea973" alpha="255" label="0.00366" />
          <item value="0.0040379797891628988" color="#fed395" alpha="255" label="0.00404" />
          <item value="0.0044157938100397552" color="#fcfdbf" alpha="255" label="0.00442" />
          <rampLegendSettings useContinuousLegend="1" direction="0" orientation="2" prefix="" suffix="" minimumLabel="0.00026 or less (2nd percentile)" maximumLabel="0.00442 or more (98th percentile), softmax, uncalibrated" />
        </colorrampshader>
      </rastershader>
    </rasterrenderer>
    <brightnesscontrast brightness="0" contrast="0" gamma="1" />
    <huesaturation saturation="0" grayscaleMode="0" colorizeOn="0" />
    <rasterresampler maxOversampling="2" />
    <resamplingStage>provider</resamplingStage>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
